"""`lab new recipe`, `lab --version`, completion, `python -m pluglab`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pluglab
from pluglab.cli import completion, new
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.recipe import load_recipe
from tests.core.support import Lab

TRAINERS = ["adabn", "acgan", "dcgan", "ddpm", "dsn", "source_only", "vae"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the plugins that are installed."""
    monkeypatch.delenv("LAB_PLUGINS")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_new_recipe_passes_a_dry_run(trainer: str, lab: Lab) -> None:
    assert lab("new", "recipe", "mine", "--trainer", trainer, toys=False) == 0
    assert lab("run", "mine.toml", "--dry-run", toys=False) == 0


@pytest.mark.usefixtures("installed")
def test_what_was_asked_for_is_in_it(lab: Lab) -> None:
    words = [
        "--data",
        "source=digits_m",
        "--data",
        "target=digits",
        "--evaluate",
        "latent_tsne",
        "--steps",
        "7",
    ]
    assert lab("new", "recipe", "below/mine.toml", "--trainer", "dann", *words, toys=False) == 0
    recipe = tomllib.loads(Path("below/mine.toml").read_text())
    assert recipe == {
        "steps": 7,
        "batch_size": 64,
        "trainer": {"name": "dann"},
        "data": {"source": {"name": "digits_m"}, "target": {"name": "digits"}},
        "evaluate": [{"name": "latent_tsne"}],
    }


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("trainer", load_plugins().registry.names("trainer"))
def test_every_default_in_a_comment_is_what_one_gets(trainer: str, tmp_path: Path) -> None:
    """With the # of each option taken away the recipe is the same."""
    plugins = load_plugins()
    entry = plugins.registry.find("trainer", trainer)
    data = {role.name: "digits_m" for role in entry.load().roles}
    lines = list(new.recipe_lines(new.Wanted(entry, data, [], 10), plugins))
    names = "|".join(["", *entry.load().Config.model_fields])
    bare, given = tmp_path / "bare.toml", tmp_path / "given.toml"
    bare.write_text("\n".join(lines))
    start = lines.index("[trainer]")
    end = next(i for i, line in enumerate(lines) if line.startswith("[data."))
    options = [
        line.removeprefix("# ")
        if line.startswith("# ")
        and line[2:].partition(" = ")[0] in names.split("|")
        and not line.endswith("...")
        else line
        for line in lines[start:end]
    ]
    assert options != lines[start:end]
    given.write_text("\n".join([*lines[:start], *options, *lines[end:]]))
    recipes = [load_recipe(path).resolve(plugins.registry).to_dict() for path in (bare, given)]
    assert recipes[0]["trainer"] == recipes[1]["trainer"]


@pytest.mark.usefixtures("installed")
def test_what_only_its_author_can_say_is_left_to_fill_in(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--trainer", "vae", "--data", "train=image_folder"]
    assert lab("new", "recipe", "mine", *words, toys=False) == 0
    assert "wrote mine.toml; fill in path" in capsys.readouterr().err
    assert tomllib.loads(Path("mine.toml").read_text())["data"]["train"]["path"] == "..."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["poem", "mine"], "No such command 'poem'"),
        (["recipe", "mine"], "which trainer?"),
        (["recipe", "mine", "--trainer", "dan"], "did you mean 'dann'?"),
        (["recipe", "mine", "--trainer", "dann", "--data", "train=digits"], "its roles: source, target"),
        (["recipe", "mine", "--trainer", "dann", "--data", "digits"], "is no ROLE=DATASET"),
        (["recipe", "mine", "--trainer", "dann", "--data", "source=digit"], "did you mean 'digits'?"),
        (["recipe", "mine", "--trainer", "dann", "--evaluate", "acuracy"], "did you mean 'accuracy'?"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_mistakes_write_nothing(
    words: list[str], told: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("new", *words, toys=False) == 2
    assert told in capsys.readouterr().err
    assert not Path("mine.toml").exists()


@pytest.mark.usefixtures("installed")
def test_no_file_is_replaced(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text("steps = 1\n")
    assert lab("new", "recipe", "mine", "--trainer", "vae", toys=False) == 2
    assert "mine.toml is there already" in capsys.readouterr().err
    assert Path("mine.toml").read_text() == "steps = 1\n"


@pytest.mark.usefixtures("installed")
def test_a_person_is_asked_for_what_is_not_given(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    answers = iter(["dann", "digits_m", "digits", "accuracy, latent_tsne"])
    monkeypatch.setattr("typer.prompt", lambda what, default=None: next(answers))
    assert lab("new", "recipe", "mine", toys=False) == 0
    recipe = tomllib.loads(Path("mine.toml").read_text())
    assert recipe["data"] == {"source": {"name": "digits_m"}, "target": {"name": "digits"}}
    assert recipe["evaluate"] == [{"name": "accuracy"}, {"name": "latent_tsne"}]


# Around commands -----------------------------------------------------------------------------------------


def test_the_version_is_told(capsys: pytest.CaptureFixture[str], lab: Lab) -> None:
    assert lab("--version", toys=False) == 0
    assert capsys.readouterr().out == f"pluglab {pluglab.__version__}\n"


def test_python_runs_the_package() -> None:
    command = [sys.executable, "-m", "pluglab", "--version"]
    assert (
        subprocess.run(command, capture_output=True, text=True).stdout == f"pluglab {pluglab.__version__}\n"
    )


def completed(line: str) -> list[str]:
    """What a shell is offered at the end of a line."""
    environment = {**os.environ, "_LAB_COMPLETE": "complete_bash", "COMP_WORDS": line}
    environment["COMP_CWORD"] = str(line.count(" "))
    command = [sys.executable, "-c", "from pluglab.cli import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.usefixtures("installed")
def test_a_shell_completes_commands_kinds_and_names() -> None:
    assert {"check", "clean", "compare"} == set(completed("lab c"))
    assert completed("lab show trainer dan") == ["dann"]
    assert completed("lab show optim") == ["optimizer"]
    assert completed("lab list sched") == ["schedules"]


def test_a_shell_completes_runs_the_newest_first(recipe: Path, lab: Lab) -> None:
    for _ in range(2):
        assert lab("run", recipe, "--set", "steps=1") == 0
    first, second = sorted(map(str, Path("runs").glob("*/*")))
    assert completed("lab resume runs/") in ([second, first], [first, second])
    assert completion.runs("runs/") == [second, first]
    assert completion.runs(first) == [first] and completion.runs("elsewhere") == []
