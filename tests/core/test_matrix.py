"""`[matrix]`: variants that are a product, said as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from pluglab.components import Component, Options, Reference, named
from pluglab.errors import UserError
from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import Role
from pluglab.recipe.recipe import Recipe, load_recipe
from tests.core.support import RECIPE, Lab, only_run


class Encoder:
    class Config(Options):
        width: int = 32
        """Channels."""


class Method:
    class Config(Options):
        encoder: Annotated[Component, Reference("encoder")] = named("conv")
        """What looks at the images."""
        weight: float = 0.5
        """Weight of the second loss."""

    roles = (Role("source"),)


class Baseline(Method):
    class Config(Options):
        encoder: Annotated[Component, Reference("encoder")] = named("conv")
        """What looks at the images."""


class Images:
    class Config(Options):
        size: int = 32
        """Height and width."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    registrar = Registrar("toys")
    builtin.lab_register(registrar)
    for kind, name, target in (
        ("trainer", "method", Method),
        ("trainer", "baseline", Baseline),
        ("encoder", "conv", Encoder),
        ("encoder", "wide", Encoder),
        ("dataset", "images", Images),
        ("dataset", "others", Images),
    ):
        registrar.add(kind, name, target)
    found = Registry()
    found.extend(registrar.entries, [replace(kind, protocol=None) for kind in registrar.kinds])
    return found


BASE = """\
steps = 100
[trainer]
name = "method"
encoder.width = 8
[data]
source = "images"
"""


def write(name: str, text: str) -> Path:
    path = Path(name)  # the working folder is the test's own
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def resolved(registry: Registry, text: str, *sets: str) -> dict[str, Recipe]:
    """Each variant's recipe, in order."""
    recipes = load_recipe(write("r.toml", text), sets).resolve_all(registry)
    assert len({recipe.variant for recipe in recipes}) == len(recipes)
    return {recipe.variant: recipe for recipe in recipes}


def values(recipe: Recipe, *keys: str) -> tuple[Any, ...]:
    found = {key: value for key, value, _ in recipe.values()}
    return tuple(found.get(key) for key in keys)


def problems(registry: Registry, text: str) -> str:
    with pytest.raises(UserError) as caught:
        load_recipe(write("r.toml", text)).resolve_all(registry)
    return caught.value.render()


# Axes ------------------------------------------------------------------------------------------------


def test_lists_of_values_are_multiplied_the_last_axis_fastest(registry: Registry) -> None:
    text = BASE + '[matrix]\ntrainer = ["method", "baseline"]\nsteps = [10, 20]\nbatch_size = [3]\n'
    found = resolved(registry, text)
    assert list(found) == [
        "method, steps 10, batch_size 3",
        "method, steps 20, batch_size 3",
        "baseline, steps 10, batch_size 3",
        "baseline, steps 20, batch_size 3",
    ]
    assert [values(recipe, "trainer.name", "steps", "batch_size") for recipe in found.values()] == [
        ("method", 10, 3),
        ("method", 20, 3),
        ("baseline", 10, 3),
        ("baseline", 20, 3),
    ]


def test_a_variant_knows_its_place_in_each_axis(registry: Registry) -> None:
    axes = '[matrix]\n"trainer.weight" = [1, 2]\n[matrix.method]\nours = { trainer = "method" }\n'
    own = '[variants."weight 2, ours"]\naxes.method = "best"\n[variants.other]\n'
    found = resolved(registry, BASE + axes + own)
    assert {name: recipe.options.axes for name, recipe in found.items()} == {
        "weight 1, ours": {"trainer.weight": "weight 1", "method": "ours"},
        "weight 2, ours": {"trainer.weight": "weight 2", "method": "best"},
        "other": {},
    }
    first, _, last = found.values()
    assert first.to_dict()["axes"]["method"] == "ours" and "axes" not in last.to_dict()
    nameless = replace(first, options=first.options.model_copy(update={"axes": {}}))
    assert first.training_digest() == nameless.training_digest()


def test_a_quoted_dotted_axis_is_that_option_and_called_after_its_last_part(registry: Registry) -> None:
    found = resolved(
        registry, BASE + '[matrix]\n"trainer.encoder.width" = [4, 64]\n"trainer.weight" = [1e-3]\n'
    )
    assert list(found) == ["width 4, weight 0.001", "width 64, weight 0.001"]
    assert [values(recipe, "trainer.encoder.width", "trainer.weight") for recipe in found.values()] == [
        (4, 0.001),
        (64, 0.001),
    ]


def test_a_list_of_names_and_tables_is_called_after_the_names(registry: Registry) -> None:
    text = BASE + '[matrix]\n"trainer.encoder" = ["conv", { name = "wide", width = 5 }]\n'
    found = resolved(registry, text)
    keys = "trainer.encoder.name", "trainer.encoder.width"
    assert {name: values(recipe, *keys) for name, recipe in found.items()} == {
        "conv": ("conv", 32),  # a name alone replaces the whole table below it
        "wide": ("wide", 5),
    }


def test_the_name_of_a_component_as_an_axis_keeps_the_options_that_fit(registry: Registry) -> None:
    text = BASE.replace("encoder.width", "weight = 0.1\nencoder.width")
    found = resolved(registry, text + '[matrix]\n"trainer.name" = ["method", "baseline"]\n')
    keys = "trainer.name", "trainer.encoder.width", "trainer.weight"
    assert [values(recipe, *keys) for recipe in found.values()] == [
        ("method", 8, 0.1),
        ("baseline", 8, None),
    ]


def test_named_tables_are_laid_over_the_recipe(registry: Registry) -> None:
    text = """
[matrix.task]
easy = { steps = 10 }
"very hard" = { steps = 1000, data.source.size = 64 }
[matrix.method]
ours.trainer.weight = 2.0
theirs.trainer.name = "baseline"
"""
    found = resolved(registry, BASE + text)
    assert list(found) == ["easy, ours", "easy, theirs", "very hard, ours", "very hard, theirs"]
    keys = "steps", "data.source.size", "trainer.name", "trainer.weight", "trainer.encoder.width"
    assert values(found["easy, ours"], *keys) == (10, 32, "method", 2.0, 8)
    assert values(found["very hard, theirs"], *keys) == (1000, 64, "baseline", None, 8)


def test_files_are_extended_and_called_after_their_names(registry: Registry) -> None:
    write("base.toml", BASE)
    write("scenarios/one.toml", 'data.source = "others"\nsteps = 1\ntitle = "no"\n[matrix]\nsteps = [7]\n')
    write("scenarios/two.toml", 'extends = ["../base.toml", "one.toml"]\nbatch_size = 2\n[variants.no]\n')
    axis = '[matrix]\nscenario = ["scenarios/one.toml", "scenarios/two.toml"]\n'
    found = resolved(registry, 'extends = "base.toml"\nbatch_size = 5\n' + axis)
    keys = "data.source.name", "steps", "batch_size"
    assert {name: values(recipe, *keys) for name, recipe in found.items()} == {
        "one": ("others", 1, 5),
        "two": ("others", 1, 2),
    }
    assert {recipe.title for recipe in found.values()} == {"r"}


def test_named_tables_may_extend_files_and_lie_over_them(registry: Registry) -> None:
    write("scenarios/one.toml", 'data.source = "others"\nsteps = 1\n')
    found = resolved(
        registry, BASE + '[matrix.task]\n"A to B" = { extends = "scenarios/one.toml", steps = 3 }\n'
    )
    assert values(found["A to B"], "data.source.name", "steps") == ("others", 3)


def test_each_cell_may_have_seeds_of_its_own(registry: Registry) -> None:
    write("r.toml", BASE + '[matrix]\ntrainer = ["method", "baseline"]\nseeds = [[1, 2], [3]]\n')
    runs = [(recipe.variant, recipe.seed) for recipe in load_recipe(Path("r.toml")).resolve_all(registry)]
    cells = ["method, seeds [1, 2]", "method, seeds [3]", "baseline, seeds [1, 2]", "baseline, seeds [3]"]
    assert runs == [(cell, seed) for cell in cells for seed in ((3,) if "3" in cell else (1, 2))]


def test_an_empty_matrix_is_none(registry: Registry) -> None:
    assert list(resolved(registry, BASE + "[matrix]\n")) == [""]


@pytest.mark.parametrize(
    "matrix",
    [
        '[matrix]\n"trainer.encoder.width" = [4]\ntrainer = ["method"]\n',
        '[matrix]\n"trainer.encoder.width" = [4]\n[matrix.method]\nm.trainer = "method"\n',
        '[matrix]\n"trainer.encoder.width" = [4]\n[matrix.method]\nm.trainer.encoder.width = 5\n',
    ],
)
def test_a_cell_is_what_its_name_says_whatever_the_order_of_the_axes(registry: Registry, matrix: str) -> None:
    ((name, recipe),) = resolved(registry, BASE + matrix).items()
    assert name.startswith("width 4, ")
    assert values(recipe, "trainer.encoder.width") == (4,)


# Beside [variants], below --set, and through extends -------------------------------------------------


def test_a_variant_called_like_a_cell_is_laid_over_it_and_others_come_after(registry: Registry) -> None:
    text = """
[matrix]
trainer = ["method", "baseline"]
steps = [10, 20]
[variants.more]
steps = 7
[variants."baseline, steps 10"]
steps = 11
batch_size = 3
"""
    found = resolved(registry, BASE + text)
    assert list(found) == [
        *("method, steps 10", "method, steps 20", "baseline, steps 10", "baseline, steps 20", "more")
    ]
    keys = "trainer.name", "steps", "batch_size"
    assert values(found["baseline, steps 10"], *keys) == ("baseline", 11, 3)
    assert values(found["baseline, steps 20"], *keys) == ("baseline", 20, 64)
    assert values(found["more"], *keys) == ("method", 7, 64)


def test_a_set_wins_over_every_cell(registry: Registry) -> None:
    text = BASE + '[matrix]\ntrainer = ["method", "baseline"]\nsteps = [10, 20]\n'
    found = resolved(registry, text, "steps=3", "trainer.weight=0.2", "trainer.encoder.width=2")
    keys = "trainer.name", "trainer.weight", "trainer.encoder.width", "steps"
    assert {values(recipe, *keys) for recipe in found.values()} == {
        ("method", 0.2, 2, 3),
        ("baseline", None, 2, 3),
    }


def test_a_recipe_adds_axes_to_what_it_extends_and_replaces_some(registry: Registry) -> None:
    write("base/files/one.toml", "batch_size = 1\n")
    write("base/base.toml", BASE + '[matrix]\nfile = ["files/one.toml"]\nsteps = [1, 2]\n')
    text = 'extends = "base/base.toml"\n[matrix]\nsteps = [3]\n[matrix.method]\na.trainer.weight = 1.0\n'
    found = resolved(registry, text + '[variants."one, steps 3, a"]\nlog_every = 9\n')
    assert list(found) == ["one, steps 3, a"]
    keys = "batch_size", "steps", "trainer.weight", "log_every"
    assert values(found["one, steps 3, a"], *keys) == (1, 3, 1.0, 9)


def test_a_named_table_that_an_extending_recipe_changes_still_extends_its_file(registry: Registry) -> None:
    write("one.toml", "batch_size = 1\n")
    write("base.toml", BASE + '[matrix.task]\na = { extends = "one.toml", log_every = 7 }\n')
    (recipe,) = resolved(registry, 'extends = "base.toml"\n[matrix.task]\na.steps = 3\n').values()
    assert values(recipe, "steps", "log_every", "batch_size") == (3, 7, 1)


def test_each_value_knows_its_line(registry: Registry) -> None:
    write("one.toml", "\n\nbatch_size = 1\n")
    text = '[matrix]\nfile = ["one.toml"]\n"trainer.encoder.width" = [\n  4,\n]\n'
    (recipe,) = resolved(registry, BASE + text + "[matrix.m]\na.trainer.weight = 1.0\n").values()
    origins = {key: origin for key, _, origin in recipe.values()}
    assert origins["batch_size"] == "one.toml:3"
    assert origins["trainer.encoder.width"] == "r.toml:10"
    assert origins["trainer.weight"] == "r.toml:13"
    assert origins["steps"] == "r.toml:1"


# What is wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "message", "place"),
    [
        ("matrix = 3", "'matrix' must be a table of axes", "3"),
        ("matrix.steps = 3", "axis 'steps' must be a list of values, or of named tables", "3"),
        ("matrix.steps = []", "axis 'steps' must be a list of values, or of named tables", "[]"),
        ("matrix.m = {}", "axis 'm' must be a list of values, or of named tables", "{}"),
        ("matrix.m = { a = 3 }", "'a' must be a table that is laid over the recipe", "3"),
        ("matrix.m = { a = { run.threads = 2 } }", "'run' is the same for all variants", "run"),
        ("matrix.steps = [1, 1]", "two variants of the matrix are called 'steps 1'", "matrix"),
        ('matrix.x = ["a/b.toml"]', "there is no recipe 'a/b.toml' to extend", '"a/b.toml"'),
        ('matrix.x = ["r.toml"]', "r.toml extends itself", '"r.toml"'),
        ("matrix.m = { a = { extends = 3 } }", "'extends' must be the path of a recipe, or a list", "3"),
        ("matrix.steps = [1, 0]", "option 'steps' of the recipe is wrong", "0"),
        ('matrix.steps = [1, "x"]', "option 'steps' of the recipe is wrong", '"x"'),
        ('matrix.trainer = ["method", "metod"]', "unknown trainer 'metod'", '"metod"'),
        ('matrix."trainer.wieght" = [7]', "unknown option 'wieght' for trainer 'method'", "7"),
        ("matrix.m = { a = { stesp = 7 } }", "unknown option 'stesp' for the recipe", "stesp"),
        ("matrix.method = [7]", "unknown option 'method' for the recipe", "7"),
    ],
)
def test_errors_stand_at_what_is_wrong(registry: Registry, matrix: str, message: str, place: str) -> None:
    """`place` is underlined, in the first line."""
    found = problems(registry, f"{matrix}\n{BASE}").split("\n")
    assert found[0].startswith(f"error: {message}")
    assert found[1] == " --> r.toml:1"
    line, carets = found[3].removeprefix("1 | "), found[4].removeprefix("  | ")
    start = len(carets) - len(carets.lstrip())
    assert line[start : start + carets.count("^")] == place


def test_every_bad_cell_tells_its_own_problem_and_a_shared_one_is_told_once(registry: Registry) -> None:
    matrix = '[matrix]\n"trainer.weight" = ["x", 1.0, "y"]\nsteps = [1, 2]\n'
    found = problems(registry, BASE.replace("encoder.width", "encoder.wdith") + matrix)
    assert found.count("unknown option 'wdith' for encoder 'conv'") == 1
    assert found.count("option 'weight' of trainer 'method' is wrong") == 2
    assert found.count("error: ") == 3


@pytest.mark.parametrize("matrix", ['matrix."run.threads" = [1, 2]', 'matrix.title = ["a", "b"]'])
def test_what_all_runs_share_is_no_axis(registry: Registry, matrix: str) -> None:
    assert "is the same for all variants\n --> r.toml:1\n" in problems(registry, f"{matrix}\n{BASE}")


@pytest.mark.parametrize("key", ["trainer.name", "trainer.encoder.width", "data.source.size"])
def test_a_dotted_axis_without_quotes_is_told_to_have_them(registry: Registry, key: str) -> None:
    """TOML reads it as tables within tables, so as named tables of the axis `trainer`."""
    assert f'"{key}"' in problems(registry, f"{BASE}[matrix]\n{key} = [1, 2]\n")


def test_a_cell_that_is_not_there(registry: Registry) -> None:
    write("r.toml", BASE + '[matrix]\ntrainer = ["method", "baseline"]\nsteps = [1]\n')
    with pytest.raises(UserError) as caught:
        load_recipe(Path("r.toml")).resolve_all(registry, ["baselin, steps 1"])
    assert caught.value.render() == (
        "error: r.toml has no variant 'baselin, steps 1'\n"
        "  = did you mean 'baseline, steps 1'?\n"
        "  = variants: method, steps 1, baseline, steps 1"
    )


# From the command line -------------------------------------------------------------------------------

MATRIX = '[matrix]\n"trainer.width" = [2, 4]\n[matrix.augmented]\nplain.transforms = []\njitter = {}\n'


def runs_in(folder: Path) -> dict[str, tuple[str, int, str]]:
    """Variant, seed and identity of each run, by the name of its folder."""
    found = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/run.json"))}
    return {name: (run["variant"], run["seed"], run["identity"]) for name, run in found.items()}


def test_the_cells_are_run_and_the_experiments_recipe_repeats_them(lab: Lab, recipe: Path) -> None:
    recipe.write_text("seeds = [0, 1]\n" + RECIPE + MATRIX)
    assert lab("run", recipe, "--set", "steps=2", "--set", "batch_size=8") == 0
    runs = runs_in(only_run())
    assert list(runs) == [
        f"width_{width}_{name}-seed{seed}"
        for width in (2, 4)
        for name in ("jitter", "plain")
        for seed in (0, 1)
    ]
    assert len({identity for _, _, identity in runs.values()}) == 8
    table = (only_run() / "results.md").read_text()
    cells = ["width 2, plain", "width 2, jitter", "width 4, plain", "width 4, jitter"]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == cells
    assert lab("run", only_run() / "recipe.toml", "--run-dir", "again") == 0
    assert runs_in(only_run(Path("again"))) == runs


def test_one_cell_of_it(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(RECIPE + MATRIX)
    assert lab("run", recipe, "--set", "steps=2", "--variant", "width 4, plain") == 0
    run = json.loads((only_run() / "run.json").read_text())
    assert run["variant"] == "width 4, plain"
    capsys.readouterr()
    assert lab("show", "recipe", recipe, "--variant", "width 4, plain") == 0
    shown = capsys.readouterr().out
    assert (
        "variant 'width 4, plain' of: width 2, plain, width 2, jitter, width 4, plain, width 4, jitter"
        in shown
    )
    assert lab("run", recipe, "--variant", "width 4") == 2
    assert "has no variant 'width 4'" in capsys.readouterr().err


def test_a_dry_run_lists_every_cell(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(RECIPE + MATRIX)
    assert lab("run", recipe, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" " * 2)[0].strip() for line in lines if line.strip().startswith("width ")]
    assert rows == ["width 2, plain", "width 2, jitter", "width 4, plain", "width 4, jitter"]
    assert not Path("runs").exists()
