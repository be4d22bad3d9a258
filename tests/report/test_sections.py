"""What sections say, before it has a format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pluglab.plugins.loading import load_plugins
from pluglab.protocols import Table
from pluglab.style import look
from pluglab_report.blocks import Picture, Pictures, TableBlock
from pluglab_report.chapters import Chapter, read_chapters
from pluglab_report.networks import architectures_of
from pluglab_report.report import assemble
from pluglab_report.sections.curves import Curves
from pluglab_report.sections.pictures import Others, Reconstructions
from pluglab_report.sections.provenance import Provenance
from pluglab_report.turning import fitting
from tests.report.conftest import EVIL


@pytest.fixture(scope="module")
def chapter(made: Path) -> Chapter:
    (found,) = read_chapters([made], load_plugins().registry, print)
    return found


def pictures(blocks: object) -> list[Picture]:
    return [one for block in blocks if isinstance(block, Pictures) for one in block.pictures]  # type: ignore[attr-defined]


def test_curves_of_all_variants_are_in_one_plot_with_bands_and_the_colors_of_the_page(
    chapter: Chapter,
) -> None:
    found = {picture.name: picture for picture in pictures(Curves().write(chapter))}
    data = found["general_curves_loss"].data
    assert data is not None
    curves = data["panels"]["loss"]
    assert set(curves) == {EVIL, "wide"}
    steps = curves["wide"]["step"]
    assert steps == [3, 6, 9, 12]
    logged = [
        [event["scalars"]["loss"] for event in record.history() if event["type"] == "step"]
        for record in chapter.groups[1].records
    ]
    assert curves["wide"]["low"] == list(map(min, *logged))
    assert curves["wide"]["value"] == pytest.approx([sum(pair) / 2 for pair in zip(*logged, strict=True)])
    colors = {name: look(place).color for name, place in data["colors"].items()}
    assert colors == {name: chapter.colors[group] for group, name in chapter.names.items()}


def test_what_was_looked_at_once_is_no_curve(chapter: Chapter) -> None:
    names = {picture.name for picture in pictures(Curves().write(chapter))}
    assert "general_curves_certain" in names
    assert not any("strange" in name or "hits" in name for name in names)


def test_names_of_pictures_are_distinct(chapter: Chapter) -> None:
    names = [picture.name for picture in pictures([*Curves().write(chapter), *Others().write(chapter)])]
    assert len(names) == len(set(names))


def test_a_picture_that_a_section_shows_is_not_among_the_others(chapter: Chapter) -> None:
    assert "general_wide_stranger_film" in [one.name for one in pictures(Others().write(chapter))]
    rest = replace(chapter, shown_elsewhere=("stranger/f*",))
    names = [one.name for one in pictures(Others().write(rest))]
    assert "general_wide_stranger_film" not in names
    assert "general_wide_stranger_plot" in names
    assert not Reconstructions().write(chapter)


def test_the_commit_is_told_with_whether_files_were_changed(made: Path, experiment: Path) -> None:
    for place, dirty in (("wide-seed0", True), ("wide-seed1", False)):
        file = experiment / place / "run.json"
        state = json.loads(file.read_text())
        file.write_text(json.dumps({**state, "git": {"commit": "0123456789abcdef", "dirty": dirty}}))
    (chapter,) = read_chapters([experiment], load_plugins().registry, print)
    runs = next(block for block in Provenance().write(chapter) if isinstance(block, TableBlock))
    column = list(runs.table.columns).index("git commit")
    assert [row[column] for row in runs.rows[2:]] == ["0123456789, changed", "0123456789"]


def test_one_experiment_in_several_chapters_has_one_title(chapter: Chapter) -> None:
    assert assemble([chapter, chapter]).title == f"Toys {EVIL}"
    assert assemble([chapter], "mine").title == "mine"


def test_a_wide_table_of_runs_lies_on_its_side() -> None:
    few = Table(["option", "DANN", "DSN"], [["lr", "0.1", "0.2"], ["width", 8, 16.5]])
    assert fitting(few) is few
    names = [f"MNIST-M to SVHN, method {place}" for place in range(6)]
    many = Table(["option", *names], [["lr", *map(str, range(6))], ["width", *range(6)]])
    assert fitting(many) == Table(["run", "lr", "width"], [[name, str(i), i] for i, name in enumerate(names)])
    options = Table(["option", *names], [[f"trainer.some.option.of.many.{i}", *range(6)] for i in range(30)])
    assert fitting(options) is options


def test_networks_are_of_methods_where_all_scenarios_share_them(chapter: Chapter) -> None:
    """`methods` are names within a scenario; here two scenarios are made of two variants."""
    first, second = chapter.groups
    twice = replace(chapter, comparison=replace(chapter.comparison, groups=(first, second)))
    assert [names for names, _ in architectures_of(twice)] == [[EVIL], ["wide"]]
    same = replace(chapter, comparison=replace(chapter.comparison, groups=(first, replace(first))))
    vars(same)["methods"] = dict.fromkeys(same.groups, "DANN")
    assert [names for names, _ in architectures_of(same)] == [["DANN"]]
    vars(same)["methods"] = dict(zip(same.groups, ("DANN", "DSN"), strict=True))
    assert [names for names, _ in architectures_of(same)] == [["DANN", "DSN"]]
