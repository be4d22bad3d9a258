"""The notebook of the documentation runs from its first cell to its last, and shows what it shows there."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.integration.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def shown(notebook: NotebookNode) -> dict[int, set[str]]:
    """The kinds of output of each cell: 'text/html', 'text/plain', 'stream', ..."""
    return {
        index: {kind for one in cell.get("outputs", ()) for kind in one.get("data", {one.output_type: ""})}
        for index, cell in enumerate(notebook.cells)
    }


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    place = tmp_path_factory.mktemp("repository")
    (place / "docs").mkdir()
    (place / "recipes").symlink_to(ROOT / "recipes")
    notebook = nbformat.read(NOTEBOOK, 4)
    resources = {"metadata": {"path": str(place / "docs")}}
    return NotebookClient(notebook, timeout=240, resources=resources).execute()


def test_every_cell_shows_what_the_page_shows(executed: NotebookNode) -> None:
    assert shown(executed) == shown(nbformat.read(NOTEBOOK, 4))


def test_runs_and_models_show_themselves(executed: NotebookNode) -> None:
    pages = [
        o.data["text/html"]
        for c in executed.cells
        for o in c.get("outputs", ())
        if "text/html" in o.get("data", {})
    ]
    runs, model = pages
    assert "<table>" in runs and "<th>accuracy/target</th>" in runs and runs.count("data:image/png") >= 2
    assert "<b>vae</b> after 1,000 steps" in model and model.count("data:image/png") == 1


def test_no_path_of_the_machine_that_made_it_is_on_the_page() -> None:
    text = Path(NOTEBOOK).read_text(encoding="utf-8")
    assert str(ROOT) not in text and "/home/" not in text and "/root/" not in text
