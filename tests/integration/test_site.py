"""The documentation as a site: built without a warning, with all that is installed in its reference."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import pluglab
from pluglab.cli.app import build_app
from pluglab.plugins import hookspecs
from pluglab.plugins.loading import load_plugins
from tests.integration.conftest import ROOT

pytest.importorskip("material", reason="mkdocs-material is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=280)
    warnings = [line for line in done.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert (done.returncode, warnings) == (0, []), done.stderr
    return folder


def headings(page: Path) -> set[str]:
    return set(re.findall(r'<h2 id="[^"]+">([^<]+)', page.read_text("utf-8")))


def test_every_component_has_an_entry_with_its_options(site: Path) -> None:
    registry = load_plugins().registry
    for kind in {entry.kind for entry in registry}:
        missing = set(registry.names(kind)) - headings(site / "reference" / "kinds" / f"{kind}.html")
        assert not missing, kind
    trainers = (site / "reference" / "kinds" / "trainer.html").read_text("utf-8")
    assert "<code>generator_slope</code>" in trainers and "<code>sampling.guidance</code>" in trainers


def test_every_command_hook_and_public_name_has_an_entry(site: Path) -> None:
    commands = get_command(build_app(load_plugins())).commands  # type: ignore[attr-defined]
    assert headings(site / "reference" / "commands.html") == {f"lab {name}" for name in commands}
    hooks = {name for name in vars(hookspecs) if name.startswith("lab_")}
    assert headings(site / "reference" / "hooks.html") == hooks
    names = {name for name in pluglab.__all__ if callable(getattr(pluglab, name))}
    assert headings(site / "reference" / "python.html") == names


def test_every_recipe_stands_in_the_reference(site: Path) -> None:
    found = headings(site / "reference" / "recipes.html")
    files = (ROOT / "recipes").rglob("[!.]*.toml")
    assert found == {path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in files}


def test_every_page_is_in_the_navigation_and_can_be_found(site: Path) -> None:
    front = (site / "index.html").read_text("utf-8")
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html", "index.html"}
    assert not [page for page in pages if f'href="{page}"' not in front]
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    assert {one["location"].partition("#")[0] for one in index["docs"]} >= pages


def test_a_reader_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r'<(?:link|script|img)[^>]+(?:href|src)="(https?:[^"]+)"', page.read_text("utf-8")
        )
        assert not [address for address in fetched if 'rel="canonical"' not in address], page
