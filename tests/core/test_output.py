"""Tables at any width, and outputs that nothing breaks: a narrow terminal, a poor encoding, a reader gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from pluglab.cli.show import _type_words
from pluglab.errors import LabError, Problem, UserError
from pluglab.plugins.registry import plural
from pluglab.table_lines import table_lines
from tests.core.support import TOYS, Lab, lab_process, only_run

SCORES = ["accuracy/source", "fid_1k/digit_classifier_digits", "precision_1k/digit_classifier_digits"]
RESULTS = [
    ["DANN", "97.22 ± 0.16", "10.31 ± 0.02 (2 of 3 seeds)", "82.60 ± 1.25"],
    ["source only", "98.10 ± 0.30", "12345.68 ± 12.01", "-"],
]


def lines(columns: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    return list(table_lines(columns, rows, width))


def words(table: list[list[str]]) -> list[str]:
    return sorted(word for row in table for cell in row for word in cell.split())


def test_a_table_that_fits_is_as_wide_as_it_needs() -> None:
    expected = [" a      b", " ──────────", " word   1.5", "        2"]
    for width in (None, 12, 80):
        assert lines(["a", "b"], [["word", "1.5"], ["", "2"]], width) == expected


def test_prose_is_broken_between_words_and_numbers_never() -> None:
    table = lines(["", "accuracy", "meaning"], [["DANN", "97.22 ± 0.16", "one two three four five"]], 40)
    assert table == [
        "        accuracy       meaning",
        " ───────────────────────────────────────",
        " DANN   97.22 ± 0.16   one two three",
        "                       four five",
    ]


def test_scores_that_do_not_fit_beside_each_other_stand_below_each_other() -> None:
    head, _, first, *_ = lines(["", *SCORES], RESULTS, 80)
    assert head.split() == ["DANN", "source", "only"]
    assert first.split("   ")[0] == " accuracy/source" and first.split()[1:4] == ["97.22", "±", "0.16"]


@pytest.mark.parametrize("width", [200, 110, 80, 60, 40, 20])
def test_no_value_is_ever_cut(width: int) -> None:
    """Of results, of options with long lists and prose, and of many rows."""
    prose = "the share of each label that is spread over all classes of the data set"
    for columns, rows in (
        (["", *SCORES], RESULTS),
        (["option", "type", "meaning"], [["target_losses", "list of " + "loss, " * 9, prose]]),
        (
            ["name", "plugin", "paper"],
            [[f"name_{i}", "domain_adaptation", "arXiv:1608.06019"] for i in range(9)],
        ),
    ):
        table = lines(columns, rows, width)
        found = words([[line] for line in table if "──" not in line])
        missing = [word for word in words(rows) if word not in found]
        assert missing == []
        longest = max(len(word) for word in words([columns, *rows]))
        assert max(map(len, table)) <= max(width, longest + 4)


def test_a_row_that_has_no_room_at_all_is_a_list() -> None:
    table = lines(
        ["name", "n", "a_long_name_of_a_column"],
        [["one", "3", "some words that go on"], ["two", "", "x"]],
        20,
    )
    assert table == [
        "one",
        "  n",
        "    3",
        "  a_long_name_of_a_column",
        "    some words that",
        "    go on",
        "two",
        "  a_long_name_of_a_column",
        "    x",
    ]


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize(
    "command", ["list trainers", "list kinds", "show trainer toy", "doctor", "list plugins"]
)
def test_every_table_fits_the_terminal(
    command: str, width: int, lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert lab(*command.split(), toys=command != "doctor") == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width


# Signs that steer a terminal ------------------------------------------------------------------------

EVIL = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp.toml"
SPELLED = r"a\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp.toml"


def test_what_steers_a_terminal_is_spelled_out_in_errors() -> None:
    assert LabError(f"there is no {EVIL}", help=[EVIL]).render() == (
        f"error: there is no {SPELLED}\n  = {SPELLED}"
    )
    assert SPELLED in Problem(EVIL, note=EVIL).render() and "\x1b" not in Problem(EVIL, note=EVIL).render()
    assert UserError("two\nlines\tand a tab, ±").render() == "error: two\nlines\tand a tab, ±"


def test_a_files_name_does_not_steer_the_terminal(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", EVIL) == 2
    error = capsys.readouterr().err
    assert SPELLED in error and "\x1b" not in error


def test_titles_and_names_are_no_markup(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(
        f'title = "[bold]title[/bold]"\n{recipe.read_text()}\n[variants."[red]A"]\n[variants.B]\n'
    )
    assert lab("run", recipe, "--set", "steps=2") == 0
    printed = capsys.readouterr()
    assert "[bold]title[/bold]" in printed.out and " [red]A " in printed.out
    assert "[red]A" in printed.err


# Outputs that fail ----------------------------------------------------------------------------------


def program(text: str, **environment: str) -> subprocess.Popen[bytes]:
    """A process whose outputs are made as those of `lab` are."""
    start = "import sys\nfrom pluglab.cli.output import lasting\nsys.stdout = lasting(sys.stdout)\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def test_a_terminal_of_ascii_shows_what_it_can() -> None:
    text = "from pluglab.cli.output import print_table\nprint_table(['', 'é'], [['97.22 ± 0.16', '\\udcff']])"
    out, error = program(text, PYTHONIOENCODING="ascii", COLUMNS="60").communicate()
    assert error == b""
    assert out.decode("ascii").split() == ["?", "-" * 16, "97.22", "+-", "0.16", "?"]


def test_what_goes_on_when_the_reader_of_its_output_has_gone() -> None:
    process = program("for i in range(100_000): print(i, flush=True)\nprint('done', file=sys.stderr)")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b"done\n"
    assert process.wait() == 0


def test_a_run_goes_on_although_nobody_reads_of_it_any_more(recipe: Path) -> None:
    code = "from pluglab.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", str(recipe), "--plugin", str(TOYS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert json.loads((only_run() / "run.json").read_text())["status"] == "finished"


def test_a_run_of_a_notebook_whose_backend_is_not_here(recipe: Path) -> None:
    backend = "module://matplotlib_inline.backend_inline"
    assert lab_process("run", recipe, "--set", "steps=2", MPLBACKEND=backend).returncode == 0


def test_a_run_on_a_terminal_of_ascii_ends_with_its_table(recipe: Path) -> None:
    words = "run", recipe, "--set", "steps=2", "--set", "seeds=[0,1]"
    done = lab_process(*words, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and " +- " in done.stdout


# Words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[float, Field(ge=0)] | Literal["auto"], 'float >= 0 or "auto"'),
        (tuple[Literal["color", "cutout"], ...], 'list of "color" | "cutout"'),
        (dict[str, Literal["source", "target"]], 'table of "source" | "target"'),
        (tuple[int, float] | None, "(int, float)"),
    ],
)
def test_a_type_is_said_as_a_person_would(annotation: Any, words: str) -> None:
    assert _type_words(annotation) == words


def test_several_of_a_kind_are_called_as_in_english() -> None:
    assert list(map(plural, ["target_loss", "encoder", "entry"])) == ["target_losses", "encoders", "entries"]


def shell(words: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """`lab WORDS` under a shell, which redirects."""
    code = "from pluglab.cli import main; main()"
    command = f'"{sys.executable}" -c "{code}" {words}'
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_cannot_be_printed_is_told_once(tmp_path: Path) -> None:
    done = shell("list kinds >/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: what the command prints cannot be written: No space left on device\n"


@pytest.mark.parametrize("words", ["list kinds >&-", "list kinds 2>&-", "list kinds 2>/dev/full"])
def test_closed_and_full_outputs_break_nothing(words: str, tmp_path: Path) -> None:
    done = shell(words, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("trainer" in done.stdout) == (">&-" not in words or "2>&-" in words)
