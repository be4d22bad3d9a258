"""Recipes that come with installed plugins: found by their names from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pluglab.errors import UserError
from pluglab.recipe.installed import installed_recipe, installed_recipes
from tests.core.support import RECIPE, Lab

Ships = Callable[[str, dict[str, str]], None]


@pytest.fixture
def ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ships:
    """A distribution with recipes alone, as pip would leave it in site-packages."""
    site = tmp_path / "recipes site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("LAB_PLUGINS", raising=False)

    def call(plugin: str, recipes: dict[str, str]) -> None:
        package = site / f"strangers_{plugin}" / "recipes"
        for name, text in recipes.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text(text)
        package.parent.mkdir(exist_ok=True)
        (package.parent / "__init__.py").touch()
        about = site / f"strangers_{plugin}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: strangers-{plugin}\nVersion: 1.0\n")
        lines = f"[pluglab.recipes]\n{plugin} = strangers_{plugin}.recipes\n"
        (about / "entry_points.txt").write_text(lines)

    return call


def test_a_recipe_runs_by_its_name(ships: Ships, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    ships("one", {"toy_tour.toml": RECIPE, "deep/small.toml": RECIPE})
    assert {"toy_tour", "deep/small"} <= installed_recipes().keys()
    assert lab("run", "toy_tour", "--dry-run") == 0
    assert lab("run", "deep/small", "--dry-run") == 0
    capsys.readouterr()
    assert lab("list", "recipes", "--json", toys=False) == 0
    assert "toy_tour" in {row["recipe"] for row in json.loads(capsys.readouterr().out)}


def test_a_recipe_can_be_extended_by_its_name(
    ships: Ships, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    ships("one", {"toy_tour.toml": RECIPE})
    Path("mine.toml").write_text('extends = "toy_tour"\nsteps = 7\n')
    assert lab("show", "recipe", "mine.toml") == 0
    said = capsys.readouterr().out
    assert re.search(r"^ steps +7 ", said, re.M) and re.search(r'^ trainer.name +"toy" ', said, re.M)


def test_two_plugins_with_a_recipe_of_one_name(ships: Ships) -> None:
    ships("one", {"toy_tour.toml": RECIPE})
    ships("two", {"toy_tour.toml": RECIPE})
    with pytest.raises(UserError, match="2 plugins have a recipe 'toy_tour'") as raised:
        installed_recipe("toy_tour")
    assert raised.value.help == ("write 'one/toy_tour' or 'two/toy_tour'",)
    found = installed_recipe("two/toy_tour")
    assert found is not None and "strangers_two" in str(found)


def test_a_plugin_that_is_switched_off_or_damaged_brings_none(
    ships: Ships, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ships("one", {"toy_tour.toml": RECIPE})
    (tmp_path / "recipes site" / "strangers_one" / "recipes" / ".hidden.toml").write_text("")
    assert [name for name in installed_recipes() if "hidden" in name] == []
    monkeypatch.setenv("LAB_PLUGINS", "other")
    assert installed_recipe("toy_tour") is None
    monkeypatch.setenv("LAB_PLUGINS", "other, one")
    assert installed_recipe("toy_tour") is not None
    ships("broken", {})
    (tmp_path / "recipes site" / "strangers_broken" / "__init__.py").write_text("1 / 0")
    monkeypatch.setenv("LAB_PLUGINS", "broken, one")
    assert list(installed_recipes()) == ["toy_tour"]


def test_a_name_that_is_nearly_one_is_told(
    ships: Ships, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    ships("one", {"toy_tour.toml": RECIPE})
    assert lab("run", "toy_tuor", "--dry-run") == 2
    assert "did you mean toy_tour?" in capsys.readouterr().err
