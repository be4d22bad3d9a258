"""The command line: what there is (a golden file), what it prints, and that looking costs little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft7Validator

from pluglab.cli.app import build_app
from pluglab.plugins.loading import load_plugins
from tests.core.support import RECIPE, TOYS, Lab, only_run

SURFACE = Path(__file__).parent / "command_line.txt"
HEAVY = ("torch", "numpy", "sklearn", "tensorboard", "lightning_fabric", "matplotlib", "PIL")

Out = Callable[..., str]


@pytest.fixture
def out(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Out:
    """What a command that works prints on stdout."""

    def call(*words: str | Path, toys: bool = True) -> str:
        assert lab(*words, toys=toys) == 0
        return capsys.readouterr().out

    return call


# The surface -----------------------------------------------------------------------------------------


def surface() -> str:
    """Every command, argument and option with its default, environment variable and help."""
    commands: Any = typer.main.get_command(build_app(load_plugins(only="")))
    lines = []
    for name, command in sorted(_commands(commands)):
        lines += ["", f"lab {name}", f"    {command.help.splitlines()[0]}"]
        lines += [_parameter(parameter) for parameter in command.params]
    return "\n".join(lines[1:]) + "\n"


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Those of a group, and of groups in it, by the words after `lab`."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")


def _parameter(parameter: Any) -> str:
    is_option = parameter.opts[0].startswith("-")
    name = parameter.opts[0] if is_option else parameter.metavar
    facts = [
        name if not is_option or parameter.is_flag else f"{name} {parameter.metavar}",
        "repeatable" if parameter.multiple else "",
        f"default {parameter.default}" if parameter.default not in (None, [], False) else "",
        f"env {parameter.envvar}" if parameter.envvar else "",
        "required" if parameter.required else "",
        " ".join((parameter.help or "").split()),
    ]
    return "    " + "; ".join(filter(None, facts))


def test_the_command_line_is_the_one_that_was_agreed_on() -> None:
    """A change here breaks what people have typed into scripts. `LAB_REWRITE=1 pytest` accepts it."""
    if os.environ.get("LAB_REWRITE"):
        SURFACE.write_text(surface())
    assert surface() == SURFACE.read_text()


def test_every_command_and_option_has_help() -> None:
    commands: Any = typer.main.get_command(build_app(load_plugins(only="")))
    for name, command in _commands(commands):
        assert command.help, name
        assert all(parameter.help for parameter in command.params), name


# What looking costs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["list", "plugins"],
        ["list", "trainers"],
        ["list", "recipes"],
        ["list", "runs"],
    ],
)
def test_help_and_lists_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from pluglab.cli import main\n"
        "try: main()\n"
        "except SystemExit as leave: assert not leave.code, leave.code\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "LAB_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_command_is_installed() -> None:
    lab = Path(sys.executable).with_name("lab")
    done = subprocess.run([lab, "list", "plugins", "--json"], capture_output=True, text=True)
    assert {row["name"] for row in json.loads(done.stdout)} >= {"core", "gan"}


# list ------------------------------------------------------------------------------------------------


def test_list_components(out: Out) -> None:
    toy = {"plugin": "toy_plugin", "paper": ""}
    assert json.loads(out("list", "trainers", "--json")) == [
        {**toy, "name": "toy", "summary": "a toy", "can": ["classify images", "list its networks"]},
        {**toy, "name": "toy_other", "summary": "another toy", "can": []},
    ]
    lines = out("list", "trainers").splitlines()
    assert lines[1].split() == ["name", "plugin", "summary", "paper", "can"]
    assert lines[4].split() == ["toy_other", "toy_plugin", "another", "toy"]


@pytest.mark.parametrize("kind", ["dataset", "evaluator", "transform", "optimizer", "schedule"])
def test_list_takes_one_or_many(out: Out, kind: str) -> None:
    assert out("list", kind) == out("list", f"{kind}s") != ""


def test_list_of_nothing(out: Out, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(out("list", "metrics", "--json")) == []
    for words in (["metrics"], ["recipes"], ["runs"], ["runs", "--run-dir", "nowhere"]):
        assert lab("list", *words) == 0
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith(f"no {words[0]}")


def test_list_plugins(out: Out) -> None:
    rows = {row["name"]: row for row in json.loads(out("list", "plugins", "--json"))}
    assert rows["toy_plugin"]["status"] == "ok"
    assert rows["toy_plugin"]["distribution"] == str(TOYS)
    assert rows["toy_plugin"]["components"] == 7
    assert rows["core"]["distribution"] == "pluglab"
    assert "toy_plugin" in out("list", "plugins")


def test_list_recipes(out: Out) -> None:
    Path("recipes/deep").mkdir(parents=True)
    Path("recipes/a.toml").write_text("#:schema ./x\n# What it is about.\nsteps = 1\n")
    Path("recipes/deep/b.toml").write_text("steps = 1\n")
    Path("recipes/.schema.json").write_text("{}")
    assert json.loads(out("list", "recipes", "--json")) == [
        {"recipe": "recipes/a.toml", "about": "What it is about."},
        {"recipe": "recipes/deep/b.toml", "about": ""},
    ]


def test_parts_of_recipes_are_not_listed(out: Out) -> None:
    """What another extends, as a whole or for a variant, and has no title."""
    Path("recipes/parts").mkdir(parents=True)
    for name in ("one", "two", "three"):
        Path(f"recipes/parts/{name}.toml").write_text("steps = 1\n")
    Path("recipes/whole.toml").write_text('title = "whole"\nextends = "parts/one.toml"\n')
    Path("recipes/more.toml").write_text(
        'extends = ["whole.toml"]\n[variants.a]\nextends = ["parts/two.toml"]\n'
    )
    Path("recipes/broken.toml").write_text("extends = [")
    listed = [Path(row["recipe"]).name for row in json.loads(out("list", "recipes", "--json"))]
    assert listed == ["broken.toml", "more.toml", "three.toml", "whole.toml"]


def test_list_runs(out: Out, recipe: Path) -> None:
    out("run", recipe, "--set", "steps=2")
    first = only_run()
    out("run", recipe, "--set", "steps=2", "--set", "seeds=[1,2]", "--set", "title=several")
    (several,) = Path("runs/several").iterdir()
    broken = Path("runs/toy/19990101-000000-dead")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    rows = {row["run"]: row for row in json.loads(out("list", "runs", "--json"))}
    assert rows[str(first)]["status"] == "finished"
    assert rows[str(first)]["headline"] == ["toy_accuracy/train"]
    assert rows[str(several / "seed1")]["status"] == rows[str(several / "seed2")]["status"] == "finished"
    assert rows[str(broken)]["status"] == "damaged"
    assert len(rows) == 4
    assert str(first) in out("list", "runs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("list", "trainrs"),
            "there is no kind of component called 'trainrs'\n  = did you mean 'trainers'?\n",
        ),
        (
            ("list", "x"),
            "there is no kind of component called 'x'\n  = known: datasets, evaluators, kinds, launchers",
        ),
        (
            ("show", "trainr", "toy"),
            "there is no kind of component called 'trainr'\n  = did you mean 'trainer'?",
        ),
        (("show", "trainer", "tyo"), "unknown trainer 'tyo'\n  = did you mean 'toy'?\n"),
        (
            ("show", "metric", "score"),
            "unknown metric 'score'\n  = no plugin provides any metric; `lab list plugins`",
        ),
        (("schema", "--out", "no/x.json"), "no/x.json cannot be written: No such file or directory\n"),
        (("schema", "--out", "."), ". cannot be written: Is a directory\n"),
    ],
)
def test_what_is_not_there_is_told(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert lab(*words) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "Missing argument 'RECIPE'"),
        (("runn",), "No such command 'runn'. Did you mean 'run'?"),
        (("run", "a.toml", "b.toml"), "Got unexpected extra argument(s) (b.toml)"),
        (("run", "a.toml", "--dryrun"), "No such option: --dryrun (Possible options: --dry-run)"),
        (("run", "a.toml", "--set"), "Option '--set' requires an argument"),
        (("list",), "Missing argument 'WHAT'"),
        (("show", "trainer"), "Missing argument 'NAME'"),
        (("evaluate", "r", "--step", "x"), "--step x: write the number of a step, or all"),
    ],
)
def test_wrong_words(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert lab(*words, toys=False) == 2
    assert message in capsys.readouterr().err


# show and describe -----------------------------------------------------------------------------------


def test_show_a_component(out: Out) -> None:
    shown = json.loads(out("show", "trainer", "toy", "--json"))
    assert shown["documentation"].startswith("A small network with dropout")
    options = {option["option"]: option for option in shown["options"]}
    assert list(options) == ["width", "noise", "optimizer", "schedule", "bad_step"]
    assert options["width"] == {
        "option": "width",
        "type": "int >= 1",
        "default": "8",
        "meaning": "Channels of the network.",
    }
    known = "adadelta, adagrad, adam, adamax, adamw, nadam, radam, rmsprop, sgd"
    assert options["optimizer"]["type"] == f"optimizer ({known})"
    assert (options["bad_step"]["type"], options["bad_step"]["default"]) == ("int", "none")
    text = out("show", "trainer", "toy_plugin/toy")
    assert text.startswith("trainer 'toy_plugin/toy'\n\nA small network")
    assert "Channels of the network." in text


def test_show_a_component_without_options(out: Out) -> None:
    assert "It has no options." in out("show", "evaluator", "toy_accuracy")


def test_show_a_recipe(out: Out) -> None:
    Path("r.toml").write_text(RECIPE + "[variants.a]\n[variants.b.trainer]\nwidth = 4\n")
    rows = {
        row["key"]: row for row in json.loads(out("show", "recipe", "r.toml", "--json", "--variant", "b"))
    }
    assert rows["trainer.width"] == {"key": "trainer.width", "value": 4, "origin": "r.toml:25"}
    text = out("show", "recipe", "r.toml")
    assert text.splitlines()[1].split() == ["option", "value", "from"]
    assert text.rstrip().endswith("variant 'a' of: a, b  (--variant NAME shows another)")


def test_describe(out: Out, recipe: Path) -> None:
    assert "net: 114 parameters" in out("describe", recipe)
    described = json.loads(out("describe", recipe, "--json", "--set", "trainer.width=1"))
    assert list(described) == ["toy"]
    assert not Path("runs").exists()


# run -------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(out: Out, recipe: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    text = out("run", recipe, "--dry-run", "--set", "seeds=[0,1]")
    assert [line.split()[:4] for line in text.splitlines()[3:5]] == [
        ["toy", "0", "toy", "40"],
        ["toy", "1", "toy", "40"],
    ]
    assert text.endswith("The recipe is good; nothing was run.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_ends_with_what_it_found(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--run-dir", "elsewhere") == 0
    output = capsys.readouterr()
    folder = only_run(Path("elsewhere"))
    assert "toy_accuracy/train" in output.out
    assert output.out.endswith(f"results: {folder}\ncurves:  tensorboard --logdir {folder}\n")
    assert f"run folder: {folder}\n" in output.err
    found = json.loads((folder / "results.json").read_text())
    assert found["headline"] == ["toy_accuracy/train"]
    assert {path.name for path in folder.iterdir()} >= {
        *("recipe.toml", "run.json", "results.json", "metrics.jsonl", "checkpoints", "tensorboard")
    }


def test_the_resolved_recipe_repeats_the_run(out: Out, recipe: Path) -> None:
    out("run", recipe, "--set", "steps=6", "--set", "seeds=[3]")
    first = only_run()
    out("run", first / "recipe.toml", "--run-dir", "again")
    again = only_run(Path("again"))
    results = [json.loads((folder / "results.json").read_text()) for folder in (first, again)]
    assert results[0]["scalars"] == results[1]["scalars"]
    identities = [json.loads((folder / "run.json").read_text())["identity"] for folder in (first, again)]
    assert identities[0] == identities[1]


def test_variants_make_one_table(out: Out, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("steps = 40", "steps = 4") + "[variants.'a b']\n[variants.a_b]\n")
    text = out("run", recipe, "--set", "seeds=[0,1]")
    folder = only_run()
    runs = sorted(path.parent.name for path in folder.glob("*/run.json"))
    assert runs == ["a_b-seed0", "a_b-seed1", "a_b_2-seed0", "a_b_2-seed1"]
    table = json.loads((folder / "results.json").read_text())["table"]
    assert table["columns"] == ["", "toy_accuracy/train"]
    assert [row[0] for row in table["rows"]] == ["a b", "a_b"]
    assert " ± " in table["rows"][0][1]
    assert table["rows"][0][1] in text
    assert [row["status"] for row in json.loads(out("list", "runs", "--json"))] == ["finished"] * 4


def test_evaluate_again(out: Out, recipe: Path) -> None:
    out("run", recipe)
    folder = only_run()
    results = json.loads((folder / "results.json").read_text())
    (found,) = json.loads(out("evaluate", folder, "--json"))[folder.name]
    assert (found["step"], found["scalars"]) == (40, results["scalars"])
    assert {name: one["scalars"] for name, one in found["evaluations"].items()} == {
        name: one["scalars"] for name, one in results["evaluations"].items()
    }
    assert "toy_accuracy/train" in out("evaluate", folder, "--step", "30")


def test_evaluate_a_step_that_is_gone(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe) == 0
    capsys.readouterr()
    assert lab("evaluate", only_run(), "--step", "7") == 2
    assert "has no whole checkpoint of step 7; there are: 30, 40" in capsys.readouterr().err


def test_resume_of_a_finished_run_shows_its_results(out: Out, recipe: Path) -> None:
    first = out("run", recipe, "--set", "steps=2")
    assert out("resume", only_run()) == first


# schema and doctor -----------------------------------------------------------------------------------


def test_schema(out: Out, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(out("schema"))
    Draft7Validator.check_schema(schema)
    assert "toy" in json.dumps(schema["properties"]["trainer"])
    assert lab("schema", "--out", ".schema.json") == 0
    assert json.loads(Path(".schema.json").read_text()) == schema
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "wrote .schema.json\n")


def test_doctor(out: Out) -> None:
    checks = {check["name"]: check for check in json.loads(out("doctor", "--json", toys=False))}
    assert checks["torch"]["status"] == "ok"
    assert checks["plugin core"]["status"] == "ok"
    assert "tensorboard" in out("doctor", toys=False)


def test_doctor_finds_a_data_root_that_is_missing(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("doctor", "--data-root", "nowhere", toys=False) == 1
    assert "nowhere is not a folder" in capsys.readouterr().out
