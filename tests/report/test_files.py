"""report.md and report.tex, and what lies beside them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from pluglab_report.rendering.escapes import fence, latex_escaped, markdown_text
from tests.report.conftest import EVIL, lab
from tests.report.pages import Page
from tests.report.stranger import CAPTION, MARKUP

TEXTS = [
    EVIL,
    CAPTION,
    "1. no list",
    "1) no list",
    "- no list",
    "+ no list",
    "# no heading",
    "a_b_c and _a_ and __b__ and ~~c~~",
    "*a* `b` [c](d) ![e](f) <https://g.h>",
    "=== and --- and ***",
    "&lt; &amp; \\ \\* ^a^ $x$ |",
    "96.56 ± 0.16",
]


@pytest.fixture(scope="module")
def markdown(written: Path) -> str:
    return (written / "report.md").read_text()


def shown(text: str) -> str:
    """What a reader of rendered Markdown sees."""
    page = Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text))
    assert {name for name, _ in page.elements} <= {"p"}
    return " ".join(part for parts in page.texts.values() for part in parts)


@pytest.mark.parametrize("text", TEXTS)
def test_text_shows_itself_in_markdown(text: str) -> None:
    assert shown(markdown_text(text)) == text


def test_numbers_and_names_stay_readable_in_the_source() -> None:
    assert markdown_text("accuracy_source 96.56 ± 0.16 (2 of 3)") == "accuracy_source 96.56 ± 0.16 (2 of 3)"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fence("a\n````\nb") == "`````"
    assert fence("plain") == "```"


def test_no_markup_of_a_run_becomes_html(markdown: str) -> None:
    page = Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))
    assert {name for name, _ in page.elements} & {"script", "b"} == set()
    assert f"Toys {EVIL}" in page.texts["h1"]
    assert MARKUP in page.texts["td"]


def test_every_picture_of_the_markdown_is_there(written: Path, markdown: str) -> None:
    found = re.findall(r"\]\((figures/[^)]+)\)", markdown)
    assert len(found) == len(set(found)) >= 10
    assert all((written / path).is_file() for path in found)


def test_plots_are_drawn_anew_and_stills_enlarged_for_print(written: Path) -> None:
    plot = written / "figures" / "general_wide_stranger_plot.png"
    with Image.open(plot) as image:
        assert image.width > 1500  # the run's own is 30 pixels wide
        assert round(image.info["dpi"][0]) == 300
    assert plot.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    with Image.open(written / "figures" / "general_wide_stranger_still.png") as image:
        assert image.size == (1800, 1440)
        assert image.getcolors() == [(1800 * 1440, (90, 90, 90))]


def test_a_film_moves_in_markdown_and_ends_in_print(written: Path, markdown: str) -> None:
    assert "(figures/general_wide_stranger_film.gif)" in markdown
    assert "figures/general_wide_stranger_film.png" in (written / "report.tex").read_text()
    with Image.open(written / "figures" / "general_wide_stranger_film.png") as image:
        assert image.getpixel((0, 0))[0] > 200


def test_tables_are_csv_and_latex(written: Path) -> None:
    with (written / "tables" / "general_stranger_odd.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [["who|what", "share"], [MARKUP, "0.123456"], ["plain", "7"]]
    text = (written / "tables" / "general_results_1.tex").read_text()
    assert r"\toprule" in text and r"\textbf" not in text.partition(r"\midrule")[0]


def test_latex_holds_no_command_of_a_run(written: Path) -> None:
    text = (written / "report.tex").read_text()
    assert r"\textbackslash{}input\{x\}" in text
    assert r"\input{x}" not in text
    assert latex_escaped("a_b & 50 % #1 {x} ~ ^ $ \\") == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{} \textasciicircum{} \$ \textbackslash{}"
    )


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")
def test_latex_compiles(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "r")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report"]
    done = subprocess.run(command, cwd=tmp_path / "r", capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "r" / "report.pdf").stat().st_size > 10_000


def test_the_papers_of_components_are_cited(written: Path, markdown: str) -> None:
    bibliography = (written / "references.bib").read_text()
    assert bibliography.startswith("@inproceedings{kingma2015adam,")
    assert "Kingma and Ba: Adam: A Method for Stochastic Optimization, 2015" in markdown


def test_files_of_an_earlier_report_go_and_those_of_others_stay(experiment: Path, tmp_path: Path) -> None:
    """First of both variants, then of one: what stands for the other goes, unless somebody has changed it."""
    out, own = tmp_path / "out", tmp_path / "out" / "figures" / "general_mine.png"
    assert lab("report", experiment, "--out", out, "--format", "md") == 0
    before = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.parent != out}
    narrow = {name for name in before if name.startswith("figures/general_script")}
    assert len(narrow) > 2
    changed = sorted(narrow)[0]
    (out / changed).write_bytes(b"mine")
    own.write_bytes(b"mine")
    assert lab("report", *experiment.glob("wide-*"), "--out", out, "--format", "md") == 0
    after = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.parent != out}
    assert narrow & after == {changed} and "figures/general_mine.png" in after
    pictures = {name for name in after if name.endswith((".png", ".gif"))}
    markdown = (out / "report.md").read_text()
    assert {name for name in pictures if name not in markdown} == {changed, "figures/general_mine.png"}


def test_what_another_page_shows_stays(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert lab("report", experiment, "--out", out, "--format", "md,tex") == 0
    stills = {path for path in out.glob("figures/*.png") if path.name in (out / "report.tex").read_text()}
    assert lab("report", *experiment.glob("wide-*"), "--out", out, "--format", "md") == 0
    assert stills and all(path.is_file() for path in stills)
    assert lab("report", *experiment.glob("wide-*"), "--out", out, "--format", "md,tex") == 0
    assert not all(path.is_file() for path in stills)


def test_a_list_of_files_that_leads_outside_removes_nothing(experiment: Path, tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious.txt"
    precious.write_text("x")
    out.mkdir()
    digest = hashlib.sha256(b"x").hexdigest()
    (out / ".written.json").write_text(
        json.dumps({"../precious.txt": digest, "figures/../../precious.txt": digest})
    )
    assert lab("report", experiment, "--out", out, "--format", "md") == 0
    assert precious.is_file()
