"""How a recipe's layers become runs: what wins, what is dropped, where each value came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tomli_w
from pydantic import Field

from pluglab.components import Component, Options, Reference, named
from pluglab.errors import UserError
from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import Role
from pluglab.recipe.recipe import Recipe, RecipeFile, load_recipe, together


class Encoder:
    class Config(Options):
        width: int = Field(32, ge=1)
        """Channels."""


class Wide(Encoder):
    class Config(Encoder.Config):
        stretch: float = 2.0
        """How much wider."""


class Method:
    class Config(Options):
        encoder: Annotated[Component, Reference("encoder")] = named("conv")
        """What looks at the images."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam")
        """What follows the gradient."""
        weight: float = 0.5
        """Weight of the second loss."""
        cut: int | None = None
        """Layer to cut at."""
        heads: list[Annotated[Component, Reference("encoder")]] = []
        """Several encoders."""

    roles = (Role("source"), Role("target", labels="hidden"))


class Baseline:
    class Config(Options):
        encoder: Annotated[Component, Reference("encoder")] = named("conv")
        """What looks at the images."""
        bias: bool = True
        """Use a bias."""

    roles = (Role("source"),)


class Images:
    class Config(Options):
        size: int = 32
        """Height and width."""
        mode: Literal["gray", "color"] = "gray"
        """Channels."""


class Shift:
    class Config(Options):
        pixels: int = 2
        """How far."""


class Score:
    class Config(Options):
        limit: int | None = None
        """Images at most."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Components that are nothing but options: no kind has a protocol here that they could break."""
    registrar = Registrar("toys")
    builtin.lab_register(registrar)
    registrar.kind("encoder", summary="looks at images")
    registrar.add("trainer", "method", Method)
    registrar.add("trainer", "baseline", Baseline)
    registrar.add("encoder", "conv", Encoder)
    registrar.add("encoder", "wide", Wide)
    registrar.add("dataset", "images", Images)
    registrar.add("transform", "shift", Shift)
    registrar.add("evaluator", "score", Score)
    found = Registry()
    found.extend(registrar.entries, [replace(kind, protocol=None) for kind in registrar.kinds])
    return found


BASE = """\
steps = 100
transforms = ["shift"]
evaluate = ["score"]

[trainer]
name = "method"
weight = 0.1
encoder = { name = "wide", width = 8 }

[data.source]
name = "images"
"""


def write(name: str, text: str) -> Path:
    path = Path(name)  # the working folder is the test's own
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(text: str, *sets: str) -> RecipeFile:
    return load_recipe(write("r.toml", text), sets)


def resolved(registry: Registry, text: str, *sets: str, variant: str = "") -> Recipe:
    recipes = load(text, *sets).resolve_all(registry, [variant] if variant else ())
    assert len({recipe.variant for recipe in recipes}) == 1
    return recipes[0]


def trainer(recipe: Recipe) -> dict[str, Any]:
    return recipe.options.trainer.dump()


def problems(registry: Registry, text: str, *sets: str) -> str:
    with pytest.raises(UserError) as caught:
        load(text, *sets).resolve_all(registry)
    return caught.value.render()


# Layers ----------------------------------------------------------------------------------------------


def test_a_recipe_alone(registry: Registry) -> None:
    recipe = resolved(registry, BASE)
    assert (recipe.title, recipe.variant, recipe.seed, recipe.options.steps) == ("r", "", 0, 100)
    assert trainer(recipe)["encoder"] == {"name": "wide", "width": 8, "stretch": 2.0}
    assert trainer(recipe)["optimizer"]["name"] == "adam"
    assert [item.name for item in recipe.data["source"].transforms] == ["shift"]
    assert [use.label for use in recipe.evaluators] == ["score"]


def test_extends_in_a_chain_the_nearest_wins(registry: Registry) -> None:
    write("base/far.toml", BASE)
    write("base/near.toml", 'extends = "far.toml"\nsteps = 200\nbatch_size = 7\n[trainer]\nweight = 0.2\n')
    recipe = resolved(registry, 'extends = "base/near.toml"\nsteps = 300\n')
    assert (recipe.options.steps, recipe.options.batch_size) == (300, 7)
    assert trainer(recipe)["weight"] == 0.2
    assert trainer(recipe)["encoder"]["width"] == 8
    assert recipe.title == "r"


def test_of_several_bases_the_later_wins(registry: Registry) -> None:
    write("one.toml", BASE)
    write("two.toml", "steps = 5\nseeds = [1, 2]\n")
    file = load('extends = ["one.toml", "two.toml"]\n')
    assert [recipe.seed for recipe in file.resolve_all(registry)] == [1, 2]
    assert file.resolve(registry).options.steps == 5


def test_two_bases_may_share_a_third(registry: Registry) -> None:
    write("root.toml", BASE)
    write("one.toml", 'extends = "root.toml"\nsteps = 1\n')
    write("two.toml", 'extends = "root.toml"\nbatch_size = 2\n')
    assert resolved(registry, 'extends = ["one.toml", "two.toml"]').options.batch_size == 2


def test_a_variant_extends_a_file_over_the_recipe_and_under_itself(registry: Registry) -> None:
    write("base/root.toml", BASE)
    write(
        "base/data.toml",
        'extends = "root.toml"\ntitle = "not mine"\nsteps = 7\nbatch_size = 7\n[trainer]\nweight = 0.7\n'
        "[variants.theirs]\n",
    )
    text = (
        'extends = "base/root.toml"\nbatch_size = 3\nevaluate = []\n'
        '[variants.a]\nextends = "base/data.toml"\nsteps = 9\n[variants.b]\n'
    )
    file = load(text)
    assert file.variants == ["a", "b"]
    a, b = file.resolve(registry, "a"), file.resolve(registry, "b")
    assert (a.options.steps, a.options.batch_size, trainer(a)["weight"], a.title) == (9, 7, 0.7, "r")
    assert (b.options.steps, b.options.batch_size, trainer(b)["weight"]) == (100, 3, 0.1)
    assert a.evaluators == (), "what the recipe extends too is not laid over it again"
    assert {key: words for key, _, words in a.values()}["batch_size"] == "base/data.toml:4"


def test_a_variant_that_extends_what_is_not_there_or_itself(registry: Registry) -> None:
    told = problems(registry, BASE + '[variants.a]\nextends = "no.toml"\n')
    assert "there is no recipe 'no.toml' to extend" in told and 'extends = "no.toml"' in told
    assert "r.toml extends itself" in problems(registry, BASE + '[variants.a]\nextends = "r.toml"\n')
    assert "must be the path of a recipe" in problems(registry, BASE + "[variants.a]\nextends = 3\n")


@pytest.mark.parametrize("variants", ["", "[variants.a]\nseeds = [4]\n[variants.b.trainer]\nweight = 2.0\n"])
def test_the_recipe_of_all_runs_repeats_them(registry: Registry, variants: str) -> None:
    recipes = load("seeds = [1, 2]\n" + BASE + variants, "batch_size=9").resolve_all(registry)
    write("again.toml", tomli_w.dumps(together(recipes)))
    again = load_recipe(Path("again.toml")).resolve_all(registry)
    assert [(r.variant, r.seed, r.title, r.training_digest()) for r in again] == [
        (r.variant, r.seed, r.title, r.training_digest()) for r in recipes
    ]
    assert {r.options.batch_size for r in again} == {9}


def test_a_cycle_is_told_with_its_way_round(registry: Registry) -> None:
    write("a.toml", 'extends = "b.toml"\n')
    write("b.toml", 'extends = "r.toml"\n')
    assert problems(registry, 'steps = 1\nextends = "a.toml"\n') == (
        "error: r.toml extends itself\n"
        " --> b.toml:1\n"
        "  |\n"
        '1 | extends = "r.toml"\n'
        "  |           ^^^^^^^^\n"
        "  = r.toml -> a.toml -> b.toml -> r.toml"
    )


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ('"gone.toml"', "there is no recipe 'gone.toml' to extend"),
        ('["one.toml", "gone.toml"]', "there is no recipe 'gone.toml' to extend"),
        ('"."', "there is no recipe '.' to extend"),
        ("5", "'extends' must be the path of a recipe, or a list of paths"),
        ("[5]", "'extends' must be the path of a recipe, or a list of paths"),
        ("{ a = 1 }", "'extends' must be the path of a recipe, or a list of paths"),
    ],
)
def test_bad_extends(registry: Registry, extends: str, message: str) -> None:
    write("one.toml", BASE)
    found = problems(registry, f"steps = 1\nextends = {extends}\n")
    assert found.startswith(f"error: {message}\n --> r.toml:2\n")


def test_an_error_in_a_base_is_told_there(registry: Registry) -> None:
    write("base.toml", BASE.replace("weight", "wieght"))
    found = problems(registry, 'extends = "base.toml"\n')
    assert " --> base.toml:7\n" in found
    assert "did you mean 'weight'?" in found


def test_a_table_over_a_name_keeps_the_name(registry: Registry) -> None:
    text = 'steps = 1\ntrainer = "method"\n[data]\nsource = "images"\n[variants.a.trainer]\nweight = 3\n'
    recipe = resolved(registry, text, "data.source.size=8")
    assert trainer(recipe)["weight"] == 3.0
    assert recipe.data["source"].dataset.dump()["size"] == 8


def test_a_name_over_a_table_replaces_all_of_it(registry: Registry) -> None:
    assert trainer(resolved(registry, BASE, "trainer=method"))["weight"] == 0.5


# Variants --------------------------------------------------------------------------------------------

VARIANTS = (
    BASE
    + """
[variants.baseline.trainer]
name = "baseline"
[variants.ours]
[variants."ours, wide".trainer.encoder]
width = 64
"""
)


def test_variants_times_seeds_in_order(registry: Registry) -> None:
    file = load(VARIANTS, "seeds=[3,1]")
    assert file.variants == ["baseline", "ours", "ours, wide"]
    runs = [(recipe.variant, recipe.seed) for recipe in file.resolve_all(registry)]
    assert runs == [(name, seed) for name in file.variants for seed in (3, 1)]
    only = file.resolve_all(registry, ["ours, wide", "baseline"])
    assert [recipe.variant for recipe in only] == ["baseline"] * 2 + ["ours, wide"] * 2


def test_options_of_a_replaced_component_count_only_where_they_fit(registry: Registry) -> None:
    baseline, ours, wide = load(VARIANTS).resolve_all(registry)
    # `weight` was written for the method, and the baseline has none; `encoder` both have.
    assert trainer(baseline) == {
        "name": "baseline",
        "encoder": {"name": "wide", "width": 8, "stretch": 2.0},
        "bias": True,
    }
    assert trainer(ours)["weight"] == 0.1
    assert trainer(wide)["encoder"]["width"] == 64


def test_options_that_a_variant_writes_itself_must_fit(registry: Registry) -> None:
    found = problems(registry, BASE + '[variants.b.trainer]\nname = "baseline"\nweight = 1\n')
    assert found.startswith("error: unknown option 'weight' for trainer 'baseline'\n  --> r.toml:14\n")


def test_a_variant_of_a_base_is_overlaid_by_the_extending_recipe(registry: Registry) -> None:
    write("base.toml", VARIANTS)
    file = load('extends = "base.toml"\n[variants.ours]\nsteps = 7\n[variants.more]\n')
    assert file.variants == ["baseline", "ours", "ours, wide", "more"]
    assert [recipe.options.steps for recipe in file.resolve_all(registry)] == [100, 7, 100, 100]


def test_a_variant_that_is_not_there(registry: Registry) -> None:
    with pytest.raises(UserError) as caught:
        load(VARIANTS).resolve_all(registry, ["baselin"])
    assert caught.value.render() == (
        "error: r.toml has no variant 'baselin'\n"
        "  = did you mean 'baseline'?\n"
        "  = variants: baseline, ours, ours, wide"
    )


def test_every_variant_tells_its_own_problems_and_shared_ones_once(registry: Registry) -> None:
    text = (
        BASE.replace("steps", "stpes") + '[variants.a]\nbatch_size = 0\n[variants.b.trainer]\nname = "no"\n'
    )
    found = problems(registry, text)
    assert found.count("unknown option 'stpes'") == 1
    assert "option 'batch_size' of the recipe is wrong" in found
    assert "unknown trainer 'no'" in found


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("variants = 3\n", "'variants' must be a table of tables", 1),
        ("[variants]\na = 3\n", "variant 'a' must be a table", 2),
        ("[variants.a.variants.b]\n", "unknown option 'variants' for the recipe", 1),
        ("[variants.a.run]\nthreads = 1\n", "'run' is the same for all variants", 1),
        ("[variants.a]\ntitle = 'x'\n", "'title' is the same for all variants", 2),
    ],
)
def test_bad_variants(registry: Registry, text: str, message: str, line: int) -> None:
    found = problems(registry, text)
    assert f"error: {message}\n --> r.toml:{line}\n" in found


# --set -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("steps=7", "steps", 7),
        (" steps = 7 ", "steps", 7),
        ("steps=1_000", "steps", 1000),
        ("title=my run", "title", "my run"),
        ('title="a = b"', "title", "a = b"),
        ("title=a=b", "title", "a=b"),
        ("title=it's", "title", "it's"),
        ("seeds=[4]", "seeds", [4]),
        ("table=['a', \"b\"]", "table", ["a", "b"]),
        ("run.precision=32", "run.precision", "32"),
        ("run.threads=2", "run.threads", 2),
        ("run.channels_last=false", "run.channels_last", False),
        ("trainer.weight=3", "trainer.weight", 3.0),
        ("trainer.weight=1e-3", "trainer.weight", 1e-3),
        ("trainer.cut=2", "trainer.cut", 2),
        ("trainer.encoder=conv", "trainer.encoder.name", "conv"),
        ("trainer.encoder.width=5", "trainer.encoder.width", 5),
        ("trainer.optimizer.lr=3e-4", "trainer.optimizer.lr", 3e-4),
        ("trainer.heads=['conv']", "trainer.heads.0.name", "conv"),
        ("data.source.mode=color", "data.source.mode", "color"),
        ("data.source.transforms=[]", "data.source.transforms", []),
        ("transforms.0.pixels=9", "data.source.transforms.0.pixels", 9),
        ("evaluate.0.every=5", "evaluate.0.every", 5),
        ("evaluate.0.limit=5", "evaluate.0.limit", 5),
        ("evaluate.0=score", "evaluate.0.name", "score"),
        ('select={metric="x"}', "select.metric", "x"),
    ],
)
def test_set(registry: Registry, override: str, key: str, value: object) -> None:
    recipe = resolved(registry, BASE, override)
    found = {name: (item, origin) for name, item, origin in recipe.values()}
    assert found[key] == (value, f"--set {override}")


def test_a_later_set_wins_over_an_earlier_one_and_over_a_variant(registry: Registry) -> None:
    recipe = resolved(registry, VARIANTS, "steps=1", "steps=2", variant="ours, wide")
    assert recipe.options.steps == 2
    recipe = resolved(registry, VARIANTS, "trainer.encoder.width=3", variant="ours, wide")
    assert trainer(recipe)["encoder"]["width"] == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "error: --set steps: write key=value"),
        ("=5", "error: --set =5: write key=value"),
        ("a b=1", "error: not valid TOML: expected '=' after a key"),
        ("trainer.=1", "error: not valid TOML: invalid initial character for a key part"),
        ("steps=", "error: option 'steps' of the recipe is wrong"),
        ("steps=many", "error: option 'steps' of the recipe is wrong"),
        ("steps.x=1", "error: option 'steps' of the recipe is wrong"),
        ("stesp=1", "error: unknown option 'stesp' for the recipe"),
        ("trainer.wieght=1", "error: unknown option 'wieght' for trainer 'method'"),
        ("trainer.optimizer.lrr=1", "error: unknown option 'lrr' for optimizer 'adam'"),
        ("run.presicion=32", "error: unknown option 'presicion' for [run]"),
        ("evaluate.1=score", "error: 'evaluate' has no item 1: it has 1, counted from 0"),
        ("evaluate.0.limitt=1", "error: unknown option 'limitt' for evaluator 'score'"),
        ("data=3", "error: option 'data' of the recipe is wrong"),
    ],
)
def test_bad_sets_are_told_with_their_text(registry: Registry, override: str, message: str) -> None:
    found = problems(registry, BASE, override)
    assert found.startswith(message)
    assert f"--set {override}" in found


def test_with_variants_a_set_counts_where_it_fits_but_must_fit_one(registry: Registry) -> None:
    baseline, ours, wide = load(VARIANTS, "trainer.weight=4", "trainer.bias=false").resolve_all(registry)
    assert "weight" not in trainer(baseline)
    assert trainer(baseline)["bias"] is False
    assert trainer(ours)["weight"] == trainer(wide)["weight"] == 4
    assert problems(registry, VARIANTS, "trainer.wieght=4") == (
        "error: no variant has an option 'trainer.wieght'\n"
        " --> --set trainer.wieght=4:1\n"
        "  |\n"
        "1 | trainer.wieght = 4\n"
        "  |         ^^^^^^ did you mean 'weight'?"
    )
    assert "unknown option 'stesp' for the recipe" in problems(registry, VARIANTS, "stesp=4")
    assert "unknown option 'limitt'" in problems(registry, VARIANTS, "evaluate.0.limitt=4")
    assert "no variant has an option 'data.source.sise'" in problems(registry, VARIANTS, "data.source.sise=4")


# Origins ---------------------------------------------------------------------------------------------


def test_each_value_knows_where_it_came_from(registry: Registry) -> None:
    write("base.toml", BASE)
    text = 'extends = "base.toml"\nbatch_size = 3\n[variants.v]\nsteps = 2\n[variants.v.trainer]\ncut = 1\n'
    recipe = resolved(registry, text, "trainer.encoder.width=5")
    origins = {key: origin for key, _, origin in recipe.values()}
    assert origins["steps"] == "r.toml:4"
    assert origins["batch_size"] == "r.toml:2"
    assert origins["trainer.name"] == "base.toml:6"
    assert origins["trainer.weight"] == "base.toml:7"
    assert origins["trainer.cut"] == "r.toml:6"
    assert origins["trainer.encoder.name"] == "base.toml:8"
    assert origins["trainer.encoder.width"] == "--set trainer.encoder.width=5"
    assert origins["trainer.encoder.stretch"] == "default"
    assert origins["trainer.optimizer.lr"] == "default"
    assert origins["data.source.transforms.0.name"] == "base.toml:2"
    assert origins["evaluate.0.name"] == "base.toml:3"


def test_an_item_of_a_list_that_a_later_layer_changes_keeps_its_other_origins(registry: Registry) -> None:
    write("base.toml", BASE)
    text = 'extends = "base.toml"\n[evaluate.0]\nevery = 5\n[transforms.0]\npixels = 9\n'
    origins = {key: origin for key, _, origin in resolved(registry, text).values()}
    assert origins["evaluate.0.name"] == "base.toml:3"
    assert origins["evaluate.0.every"] == "r.toml:3"
    assert origins["data.source.transforms.0.name"] == "base.toml:2"
    assert origins["data.source.transforms.0.pixels"] == "r.toml:5"


# Resolved recipes, and what training depends on -------------------------------------------------------

FULL = (
    VARIANTS
    + """
[run]
precision = "32"
threads = 1
[select]
metric = "score"
mode = "min"
"""
)


@pytest.mark.parametrize("variant", ["baseline", "ours", "ours, wide"])
def test_a_resolved_recipe_resolves_to_itself(registry: Registry, variant: str) -> None:
    recipe = next(
        recipe
        for recipe in load(FULL, "seeds=[0,5]").resolve_all(registry)
        if (recipe.variant, recipe.seed) == (variant, 5)
    )
    path = write("resolved.toml", tomli_w.dumps(recipe.to_dict()))
    (again,) = load_recipe(path).resolve_all(registry)
    assert again.to_dict() == recipe.to_dict()
    assert again.training_digest() == recipe.training_digest()
    assert (again.title, again.variant, again.seed) == (recipe.title, variant, 5)
    assert all(origin.startswith("resolved.toml:") for _, _, origin in again.values())


def digest(registry: Registry, *sets: str) -> str:
    return resolved(registry, FULL, *sets, variant="ours").training_digest()


@pytest.mark.parametrize(
    "override",
    [
        "run.precision=bf16",
        "run.device=cpu",
        "run.threads=2",
        "run.compile=true",
        "title=other",
        "table=['x']",
        "log_every=3",
        "checkpoint_every=3",
        "trainer.name=toys/method",
        "trainer.optimizer=toys/adam",
        "trainer.weight=0.1",
        "batch_size=64",
        "gradient_accumulation_steps=1",
        "evaluate.0.limit=3",
        "evaluate.0.every=3",
        "evaluate.0.as=mine",
        "evaluate=[]",
        "select.mode=max",
        "select.patience=3",
        "run.keep_every=7",
        "run.observers=[]",
        "run.launcher={name='processes', jobs=2}",
        "data.other=images",
        "data.source.size=16",
    ],
)
def test_the_machine_names_and_evaluation_change_no_training(registry: Registry, override: str) -> None:
    """Nor does the way to the data: they count by their content, in the identity of a run."""
    assert digest(registry, override) == digest(registry)


@pytest.mark.parametrize(
    "override",
    [
        "seeds=[1]",
        "steps=101",
        "batch_size=65",
        "trainer.weight=0.2",
        "trainer.optimizer=sgd",
        "trainer.encoder.width=9",
        "epochs=2",
        "init='weights.pt'",
        "gradient_accumulation_steps=2",
        "max_grad_norm=1.0",
        "transforms=[]",
        "transforms.0.pixels=3",
        "data.source.transforms=[]",
        "data.target=images",
    ],
)
def test_what_is_trained_changes_the_digest(registry: Registry, override: str) -> None:
    assert digest(registry, override) != digest(registry)


def test_the_digest_is_the_same_tomorrow(registry: Registry) -> None:
    """A changed hash makes every run on disk impossible to resume: change it knowingly, if at all.

    With SGD, whose options are ours; those of Adam are what this version of torch has."""
    assert resolved(registry, BASE, "trainer.optimizer=sgd").training_digest() == "04be58dba4297932"


def test_evaluators_used_twice_are_numbered(registry: Registry) -> None:
    recipe = resolved(registry, BASE.replace('["score"]', '["score", { name = "score", limit = 3 }]'))
    assert [use.label for use in recipe.evaluators] == ["score", "score_2"]


@pytest.mark.parametrize("label", ["mine", "fid-10k", "fid_0.5"])
def test_an_evaluator_may_have_a_label_of_its_own(registry: Registry, label: str) -> None:
    text = BASE.replace('["score"]', f'["score", {{ name = "score", as = "{label}" }}, "score"]')
    recipe = resolved(registry, text)
    assert [use.label for use in recipe.evaluators] == ["score", label, "score_2"]
    assert "as" not in recipe.evaluators[1].component.dump()


@pytest.mark.parametrize("label", ['"score"', '"a b"', '"../up"', '""', "3"])
def test_labels_that_no_file_can_be_named_by_or_that_are_taken(registry: Registry, label: str) -> None:
    found = problems(registry, BASE.replace('["score"]', f'["score", {{ name = "score", as = {label} }}]'))
    message = "'as' must be letters, digits, '_', '-' or '.', and no other evaluator's"
    assert found.startswith(f"error: {message}\n --> r.toml:3\n")


# The machine's own file ------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_defaults_of_a_machine_lie_below_the_recipe(registry: Registry, home: Path) -> None:
    write(f"{home}/lab.toml", "[run]\nthreads = 3\nprecision = 'bf16'\ndevice = 'cpu'\n")
    write("lab.toml", "[run]\nthreads = 2\nprecision = 'fp16'\n")
    found = {k: (v, o) for k, v, o in resolved(registry, BASE + "[run]\nprecision = 32\n").values()}
    assert found["run.device"] == ("cpu", f"{home}/lab.toml:4")
    assert found["run.threads"] == (2, "lab.toml:2")
    assert found["run.precision"] == ("32", "r.toml:13")
    assert found["run.compile"] == (False, "default")


def test_a_machine_file_counts_beside_the_recipe_and_not_beside_what_it_extends(
    registry: Registry, home: Path
) -> None:
    write("base/lab.toml", "[run]\nthreads = 3\n")
    write("base/base.toml", BASE)
    assert resolved(registry, 'extends = "base/base.toml"\n').options.run.threads == "auto"
    (recipe,) = load_recipe(Path("base/base.toml")).resolve_all(registry)
    assert recipe.options.run.threads == 3


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[run]\n[trainer]\n", "'trainer' has no place in lab.toml", 2),
        ("threads = 3\n", "'threads' has no place in lab.toml", 1),
        ("[run]\nthread = 3\n", "unknown option 'thread' for [run]", 2),
        ("[run]\nthreads = 0\n", "option 'threads' of [run] is wrong", 2),
        ("run = 3\n", "option 'run' of the recipe is wrong", 1),
        ("[run\n", "not valid TOML: expected ']' at the end of a table declaration", 1),
    ],
)
def test_what_is_wrong_in_a_machine_file_is_told_there(
    registry: Registry, home: Path, text: str, message: str, line: int
) -> None:
    write("lab.toml", text)
    assert problems(registry, BASE).startswith(f"error: {message}\n --> lab.toml:{line}\n")


def test_a_default_has_the_type_of_its_option() -> None:
    """A whole number as the default of a float would read back as a float from a run's recipe.toml, and the
    run would pass for another experiment."""

    class Half(Options):
        life: float = 10_000

    assert repr(Half().life) == "10000.0"
