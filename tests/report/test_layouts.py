"""Templates: which sections a report has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluglab.plugins.loading import load_plugins
from pluglab_report.layouts import KNOWN, layout_for
from pluglab_report.papers import sources_of
from tests.report.conftest import STARRY, lab
from tests.report.pages import Page


@pytest.mark.parametrize("name", KNOWN)
def test_every_layout_names_sections_that_there_are(name: str) -> None:
    layout = layout_for(name, "")
    known = load_plugins().registry.names("report_section")
    assert set(layout.sections) <= set(known)
    assert layout.questions


def test_the_layout_is_that_of_the_trainers_plugin() -> None:
    plugins = "gan", "diffusion", "autoencoder", "domain_adaptation", "mine", ""
    found = [layout_for("auto", plugin).name for plugin in plugins]
    assert found == ["gan", "diffusion", "vae", "adaptation", "general", "general"]


def test_a_layout_of_ones_own(experiment: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('sections = ["stars", "health", "discussion"]\n[discussion]\nwhy = "Why <i>so</i>?"\n')
    out = tmp_path / "r"
    assert lab("report", experiment, "--template", file, "--out", out, "--plugin", STARRY) == 0
    page = Page.of(out / "report.html")
    assert page.texts["h2"] == ["Stars", "Health", "Discussion"]
    assert "Why <i>so</i>?" in page.texts["h3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sections = [", "cannot be read"),
        ("questions = 1", "is no template of a report"),
        ('sections = "results"', "is no template of a report"),
        ('sections = ["resluts"]', "unknown report_section 'resluts'"),
    ],
)
def test_a_wrong_layout_is_told(
    experiment: Path, tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    assert lab("report", experiment, "--template", tmp_path / "mine.toml", "--out", tmp_path / "r") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_an_unknown_layout_is_told(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("report", experiment, "--template", "gna") == 2
    assert "did you mean 'gan'?" in capsys.readouterr().err


def test_papers_come_in_the_order_of_the_recipe_and_once() -> None:
    recipe = {
        "trainer": {"optimizer": {"name": "adam"}, "schedule": {"name": "one_cycle"}},
        "second": [{"name": "adam"}, {"name": "unknown"}, {"name": "nadam"}],
    }
    found = sources_of([recipe, recipe], load_plugins().registry)
    assert [source.key for source in found] == [
        "kingma2015adam",
        "smith2017superconvergence",
        "dozat2016nadam",
    ]
    assert found[0].url == "https://arxiv.org/abs/1412.6980"
    assert found[0].bibtex.startswith("@inproceedings{kingma2015adam,")


def test_every_paper_of_the_distributions_has_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    names = "autoencoder,datasets,diffusion,domain_adaptation,gan,metrics,report"
    registry = load_plugins(only=names).registry
    for entry in (entry for entry in registry if entry.paper):
        for source in sources_of([{entry.kind: {"name": entry.qualified}}], registry):
            assert source.bibtex.count("author = ") == 1, entry.paper


def test_a_strangers_paper_is_cited_as_it_is() -> None:
    registry = load_plugins().registry
    entry = registry.find("optimizer", "adam")
    entry.paper = "A. Stranger {2025}, arXiv:2501.01234"
    first, second = sources_of([{"optimizer": {"name": "adam"}}], registry)
    assert (
        first.bibtex == "@misc{A_Stranger_2025,\n  note = {A. Stranger 2025},\n  annote = {optimizer adam}\n}"
    )
    assert "eprint = {2501.01234}" in second.bibtex
