"""The author's words survive, whatever happens to the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluglab_report.discussion import in_html
from tests.report.conftest import lab
from tests.report.pages import Page

KEY = "general/results"


def write(experiment: Path, out: Path, *more: str) -> str:
    assert lab("report", experiment, "--out", out, "--format", "md,html", *more) == 0
    return (out / "report.md").read_text()


def filled(text: str, words: str, key: str = KEY) -> str:
    """report.md after someone has written into a slot."""
    head, mark, rest = text.partition(f"<!-- your words: {key} ")
    first, newline, rest = rest.partition("\n")
    _, end, tail = rest.partition("<!-- end -->")
    assert mark and end
    return f"{head}{mark}{first}{newline}{words}\n{end}{tail}"


def test_words_of_report_md_stay_and_come_onto_the_page(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    words = "The *wide* one is ahead.\n\n\n\nBut why? <!-- note -->  \n- a\n- b"
    (out / "report.md").write_text(filled(write(experiment, out), words))
    for _ in range(2):
        assert f"\n{words}\n<!-- end -->" in write(experiment, out)
    page = Page.of(out / "report.html")
    assert "wide" in page.texts["em"]
    assert not (out / "report.old.md").exists()


def test_words_of_discussion_md_are_read_and_never_written(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    out.mkdir()
    own = f"## {KEY}\n\nSaid **here**.\n\n### a part\n\nmore\n"
    text = f"Notes before.\n\n{own}\n## general/next\n\nTry again.\n"
    (out / "discussion.md").write_text(text)
    assert "Said **here**.\n\n### a part\n\nmore\n<!-- end -->" in write(experiment, out)
    assert (out / "discussion.md").read_text() == text
    assert "here" in Page.of(out / "report.html").texts["strong"]


def test_a_change_of_discussion_md_counts(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    out.mkdir()
    for words in ("First.", "Second."):
        (out / "discussion.md").write_text(f"## {KEY}\n{words}\n")
        assert words in write(experiment, out)
    assert "First." not in (out / "report.md").read_text()
    assert not (out / "report.old.md").exists()


def test_of_two_changes_neither_is_lost(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    (out / "report.md").write_text(filled(write(experiment, out), "Typed here."))
    (out / "discussion.md").write_text(f"## {KEY}\nTyped there.\n")
    assert "Typed there." in write(experiment, out)
    assert "Typed here." in (out / "report.old.md").read_text()
    assert "report.old.md" in capsys.readouterr().err


def test_words_for_questions_that_are_gone_are_kept(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    (out / "report.md").write_text(filled(write(experiment, out), "About the general."))
    for _ in range(2):
        assert "About the general." in write(experiment, out, "--template", "gan")
    assert "Discussion of earlier: general/results" in Page.of(out / "report.html").texts["h2"]
    text = write(experiment, out)
    assert text.count("About the general.") == 1
    assert "Discussion of earlier" not in text


def test_a_report_md_of_somebody_else_is_left_alone(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.md").write_text("# My thesis\n")
    assert lab("report", experiment, "--out", tmp_path) == 2
    assert "report.md was not written by `lab report`" in capsys.readouterr().err
    assert (tmp_path / "report.md").read_text() == "# My thesis\n"
    assert not (tmp_path / "report.html").exists()


def test_facts_to_quote_say_what_the_runs_show(experiment: Path, tmp_path: Path) -> None:
    text = write(experiment, tmp_path / "r")
    assert "- strange/score: " in text
    assert "wide 3.25 ± 0.00 (2 seeds)." in text
    assert "strange/score, over" not in text  # it is the same in all
    assert "in hits/train" not in text or "may be chance" in text or "too few" in text


def test_html_within_the_words_is_shown_and_not_run() -> None:
    assert "<script>" not in in_html("<script>alert(1)</script> [a](javascript:alert(1))")
    assert "javascript:" not in Page(in_html("[a](javascript:alert(1))")).addresses("href")
    assert "<table>" in in_html("| a |\n|---|\n| 1 |")
