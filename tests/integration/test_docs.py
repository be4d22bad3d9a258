"""The documentation names everything there is, its links lead somewhere, and its examples work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.main import get_command

from pluglab.cli import main
from pluglab.cli.app import build_app
from pluglab.plugins import hookspecs
from pluglab.plugins.loading import Plugins, load_plugins
from pluglab.recipe.keys import Machine, RecipeOptions, Selection
from pluglab.recipe.recipe import load_recipe
from tests.integration.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE_PAGES = [*PAGES, *sorted((ROOT / "examples").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```", re.M | re.S
)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def files_in(path: Path, folder: Path) -> None:
    """Write the files that a page shows into `folder`."""
    for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
        if block["file"]:
            (folder / block["file"]).write_text(block["text"])


def lab(*words: str) -> int:
    with pytest.raises(SystemExit) as leave:
        main(list(words))
    return int(leave.value.code or 0)


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    methods = "autoencoder,diffusion,domain_adaptation,gan"
    return load_plugins(only=f"{methods},datasets,export,launchers,metrics,report,sweep,testing")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR", "LAB_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


# Everything is named ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("lab_")])
def test_every_hook_is_documented_with_its_parameters(hook: str) -> None:
    function = getattr(hookspecs, hook)
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    assert f"`{hook}({', '.join(parameters)})`" in page("plugins.md")


def test_every_command_and_option_is_documented(plugins: Plugins) -> None:
    text, group = page("commands.md"), get_command(build_app(plugins))
    sections = dict(re.findall(r"^## `lab (\w+).*?$(.*?)(?=^## |\Z)", text, re.M | re.S))
    commands = group.commands  # type: ignore[attr-defined]
    assert set(sections) == set(commands)
    for name, command in commands.items():
        parts = [command, *getattr(command, "commands", {}).values()]
        options = [o for part in parts for p in part.params for o in p.opts if o.startswith("--")]
        missing = [option for option in options if f"`{option}" not in sections[name]]
        assert not missing, f"{name}: {missing}"


def test_every_environment_variable_is_documented() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("**/src/**/*.py"))
    names = set(re.findall(r"\bLAB_[A-Z_]+\b", sources))
    assert {"LAB_DATA_ROOT", "LAB_CACHE"} <= names
    assert not [name for name in names if f"| `{name}` |" not in page("commands.md")]


@pytest.mark.parametrize(
    ("model", "more"), [(RecipeOptions, ["variants", "matrix", "extends"]), (Machine, []), (Selection, [])]
)
def test_every_key_of_a_recipe_is_documented(model: type, more: list[str]) -> None:
    text = page("recipes.md")
    keys = [*model.model_fields, *more]  # type: ignore[attr-defined]
    assert not [key for key in keys if f"`{key}`" not in text and not re.search(rf"^{key} = ", text, re.M)]


def test_defaults_in_the_tables_of_keys_are_the_real_ones() -> None:
    for key, shown in re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", page("recipes.md"), re.M):
        model = next((m for m in (RecipeOptions, Machine) if key in m.model_fields), None)
        if model is not None and re.fullmatch(r"\d+|\[.*\]|\".*\"|true|false", shown):
            assert model.model_fields[key].get_default(call_default_factory=True) == json.loads(shown), key


def test_every_component_is_documented(plugins: Plugins) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert len(list(plugins.registry)) > 30
    assert not [entry.qualified for entry in plugins.registry if f"`{entry.name}`" not in text]


# Nothing is wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLE_PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            target, _, anchor = link.partition("#")
            place = (path.parent / target) if target else path
            assert place.exists(), link
            assert not anchor or anchor in anchors(place), link


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_one_screen() -> None:
    """What it is, two commands, one picture, one table, then links; all else is on the pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert text.count("![") == 1 and text.count(" ───") == 1
    commands, _ = BLOCK.finditer(text)
    assert [line.split("  ")[0] for line in commands["text"].splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_whole_recipes_are_right(path: Path, plugins: Plugins, here: Path) -> None:
    for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
        top = ("\n" + block["text"]).split("\n[")[0]  # before the first table
        whole = re.search(r"^(steps|epochs) = ", top, re.M)
        if block["language"] == "toml" and whole and not block["file"]:
            (here / "recipe.toml").write_text(block["text"])
            assert load_recipe(here / "recipe.toml").resolve_all(plugins.registry)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_examples_exist(path: Path, plugins: Plugins) -> None:
    commands = get_command(build_app(plugins)).commands  # type: ignore[attr-defined]
    for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
        for name, rest in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?lab ([a-z]+)(.*)$", block["text"], re.M):
            assert name in commands, name
            command = commands[name]
            within = getattr(command, "commands", {})  # of `lab new`, say
            command = next((within[word] for word in rest.split()[:1] if word in within), command)
            known = {option for p in command.params for option in p.opts}
            assert {word for word in rest.split() if word.startswith("--")} <= known, rest


# Examples work ------------------------------------------------------------------------------------------

RECIPE = """
steps = 2
batch_size = 8
trainer = "source_only"
data.source = { name = "digits", size = 28 }
evaluate = ["accuracy"]
"""


def test_the_trainer_of_the_tour(here: Path) -> None:
    files_in(ROOT / "docs" / "tour.md", here)
    code = [line for line in (here / "linear.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 14
    assert lab("run", "linear.toml", "--plugin", "linear.py") == 0
    (results,) = here.glob("runs/linear/*/results.json")
    assert json.loads(results.read_text())["scalars"]["accuracy/train"] > 80  # of ten classes


def test_the_plugin_in_two_files(here: Path) -> None:
    files_in(ROOT / "docs" / "plugins.md", here)
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "."], check=True)
    (here / "r.toml").write_text(RECIPE + 'transforms = ["negative"]\n')
    code = f"import sys; sys.path.append({str(here / 'site')!r}); from pluglab.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "run", "r.toml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_observer(here: Path) -> None:
    files_in(ROOT / "docs" / "plugins.md", here)
    (here / "r.toml").write_text(RECIPE)
    assert lab("run", "r.toml", "--plugin", "loss_log.py") == 0
    (log,) = here.glob("runs/r/*/losses.txt")
    assert log.read_text().startswith("2 ")


def test_the_data_set_and_the_transform(here: Path) -> None:
    files_in(ROOT / "docs" / "writing_datasets.md", here)
    digits = load_digits()
    images = np.repeat(np.repeat(digits.images.astype(np.uint8)[..., None] * 15, 4, axis=1), 4, axis=2)
    (here / "pets").mkdir()
    for split, rows in (("train", slice(0, 100)), ("test", slice(100, 150))):
        np.savez(here / "pets" / split, images=images[rows], labels=digits.target[rows] % 2)
    (here / "r.toml").write_text(RECIPE + 'transforms = ["noise"]\n')
    words = ["run", "r.toml", "--plugin", "arrays.py", "--plugin", "noise.py"]
    words += ["--set", 'data.source={name="arrays", folder="pets"}']
    assert lab(*words) == 2  # it says that it needs a data root
    assert not (here / "runs").exists()
    assert lab(*words, "--data-root", ".") == 0


def test_the_evaluator(here: Path) -> None:
    files_in(ROOT / "docs" / "evaluators.md", here)
    (here / "r.toml").write_text(RECIPE.replace('["accuracy"]', '["confidence"]'))
    assert lab("run", "r.toml", "--plugin", "confidence.py") == 0
    (results,) = here.glob("runs/r/*/results.json")
    assert 0.1 <= json.loads(results.read_text())["scalars"]["confidence/source"] <= 1
