"""Tables as text, and what is printed of experiments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluglab.protocols import Table
from pluglab.tables import latex, markdown, mean_and_deviation
from tests.core.support import Lab, only_run
from tests.core.test_preparation import GENERATORS


def test_small_numbers_keep_three_significant_digits() -> None:
    found = [mean_and_deviation(value, None) for value in (91.2345, 0.0, 0.5, -0.0045449, float("nan"))]
    assert found == ["91.23", "0.00", "0.500", "-0.00454", "nan"]


def test_a_deviation_has_as_many_places_as_its_mean() -> None:
    assert mean_and_deviation(0.014, 0.00283) == "0.0140 ± 0.0028"
    assert mean_and_deviation(91.0, 1.41421) == "91.00 ± 1.41"
    assert mean_and_deviation(91.0, 1.41421, 1) == "91.0 ± 1.4"


# Markdown --------------------------------------------------------------------------------------------


def test_markdown_is_not_broken_by_what_stands_in_it() -> None:
    table = Table(["a|b", "c"], [["x|y", 1.23456], ["two\nlines", 7]])
    assert markdown(table) == "| a\\|b | c |\n| --- | --- |\n| x\\|y | 1.235 |\n| two lines | 7 |\n"


def test_cells_may_be_bold() -> None:
    table = Table(["", "score"], [["a", "1.00 ± 0.10"], ["b", "2.00"]])
    assert "| b | **2.00** |" in markdown(table, {(1, 1)})


def test_latex_is_booktabs_and_spells_out_its_own_signs() -> None:
    table = Table(["", "acc_x (%)"], [["a & b", "1.00 ± 0.10"], [r"c\d", "2.00"]])
    assert latex(table, {(1, 1)}) == (
        "\\begin{tabular}{lr}\n\\toprule\n & acc\\_x (\\%) \\\\\n\\midrule\n"
        "a \\& b & 1.00 $\\pm$ 0.10 \\\\\n"
        "c\\textbackslash{}d & \\textbf{2.00} \\\\\n\\bottomrule\n\\end{tabular}\n"
    )


# From runs -------------------------------------------------------------------------------------------

COUNTING = """
from pluglab import Evaluation, Options

class Counting:
    class Config(Options):
        limit: int = 8
        '''Images that are looked at.'''

    needs = ()

    def __init__(self, config):
        self.config = config

    def evaluate(self, trainer, data, context):
        return Evaluation({"count": float(self.config.limit)}, headline=("count",))

def lab_register(registry):
    registry.add("evaluator", "counting", Counting)
"""


LINES = ["count [1]: limit: 8", "count [2]: limit: 32"]


def test_unlike_protocols_are_told_wherever_a_table_is_printed(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An evaluator that declares no protocol is compared by all of its options."""
    Path("counting.py").write_text(COUNTING)
    variants = "[variants.few]\n[variants.many]\nevaluate.0.limit = 32\n[variants.more]\n"
    recipe.write_text(recipe.read_text().replace("toy_accuracy", "counting") + variants)
    assert lab("run", recipe, "--set", "steps=2", "--set", "seeds=[0,1]", "--plugin", "counting.py") == 0
    printed = capsys.readouterr().out
    assert printed.count("count [1]") == 2 and f"{LINES[0]}\n{LINES[1]}\n" in printed
    written = (only_run() / "results.md").read_text()
    assert written == (
        "|  | count [1] | count [2] |\n| --- | --- | --- |\n| few | 8.00 ± 0.00 | - |\n"
        "| many | - | 32.00 ± 0.00 |\n| more | 8.00 ± 0.00 | - |\n"
        f"\n{LINES[0]}\n\n{LINES[1]}\n"
    )
    assert lab("compare", only_run(), "--markdown", toys=False) == 0
    assert capsys.readouterr().out == written
    assert lab("compare", only_run(), "--json", toys=False) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == LINES
    assert lab("compare", only_run(), toys=False) == 0
    assert capsys.readouterr().out.endswith("\n".join(LINES) + "\n")


ORACLE = """
steps = 4
batch_size = 8
trainer = "brightness"
data.source = "toy_images"
data.target = "toy_images"
evaluate = [{ name = "toy_accuracy", every = 2 }]
select = { metric = "toy_accuracy/target", allow_hidden_labels = true }
run.threads = 1
"""


def test_an_oracles_row_is_marked_wherever_it_is_printed(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    fair = '[variants.fair]\nevaluate = ["toy_accuracy"]\nselect = { metric = "confidence" }\n'
    fair = fair.replace('"toy_accuracy"', '"toy_accuracy", { name = "toy_confidence", every = 2 }')
    Path("r.toml").write_text(f"{ORACLE}[variants.best]\n{fair}")
    assert lab("run", "r.toml", "--plugin", GENERATORS) == 0
    names = ["best (oracle)", "fair"]
    printed = capsys.readouterr().out
    assert all(f" {name} " in printed for name in names) and "fair (oracle)" not in printed
    rows = (only_run() / "results.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == names
    assert lab("compare", only_run(), "--json", toys=False) == 0
    rows_of = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["label"], row["oracle"]) for row in rows_of] == [("best (oracle)", True), ("fair", False)]
    assert lab("run", "r.toml", "--variant", "best", "--run-dir", "alone", "--plugin", GENERATORS) == 0
    capsys.readouterr()
    assert lab("list", "runs", "--run-dir", "alone", "--json", toys=False) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["oracle"] is True
