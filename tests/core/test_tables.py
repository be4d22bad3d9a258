"""Tables of results: means over seeds, and never a number beside one of another protocol."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pluglab.protocols import Table
from pluglab.tables import columns_of, differing_protocols, markdown, summarize
from tests.core.support import Lab, only_run
from tests.core.test_preparation import GENERATORS


def cells(*values: float) -> list[object]:
    """The row of one variant with a run a value."""
    results = [("a", {"scalars": {"score": value}}) for value in values]
    (row,) = summarize(results, ["score"]).rows
    return list(row)


def test_small_numbers_keep_three_significant_digits() -> None:
    assert cells(91.2345) == ["a", "91.23"]
    assert cells(0.0) == ["a", "0.00"]
    assert cells(0.5) == ["a", "0.500"]
    assert cells(-0.0045449) == ["a", "-0.00454"]
    assert cells(float("nan")) == ["a", "nan"]
    assert cells(float("inf")) == ["a", "inf"]


def test_a_deviation_has_as_many_places_as_its_mean() -> None:
    """The sample deviation of 0.012 and 0.016 is 0.004 / sqrt 2."""
    assert cells(0.012, 0.016) == ["a", "0.0140 ± 0.0028"]
    assert cells(90.0, 92.0) == ["a", "91.00 ± 1.41"]


def test_runs_without_the_figure_are_counted() -> None:
    table = summarize([("a", {"scalars": {"score": 1.0}}), ("a", {"scalars": {}}), ("b", {})], ["score"])
    assert table.rows == [["a", "1.00 (1 of 2 seeds)"], ["b", "-"]]


# Protocols -------------------------------------------------------------------------------------------


def result(value: float, protocol: str, scalar: str = "fid", **settings: Any) -> dict[str, Any]:
    """What results.json holds of a run with one score."""
    evaluation = {"scalars": {scalar: value}, "protocol": settings, "protocols": {}}
    return {
        "scalars": {scalar: value},
        "protocols": {scalar: protocol},
        "headline": [scalar],
        "evaluations": {"quality": evaluation},
    }


def test_scores_of_unlike_protocols_have_a_column_each_and_no_common_mean() -> None:
    runs = [
        ("a", result(1.0, "x")),
        ("a", result(3.0, "x")),
        ("a", result(50.0, "y")),
        ("b", result(7.0, "y")),
    ]
    assert summarize(runs) == Table(
        ["", "fid [1]", "fid [2]"],
        [["a", "2.00 ± 1.41 (2 of 3 seeds)", "50.00 (1 of 3 seeds)"], ["b", "-", "7.00"]],
    )


def test_only_scalars_that_have_several_protocols_are_numbered() -> None:
    one, two = result(1.0, "x"), result(2.0, "y")
    for run in (one, two):
        run["scalars"]["accuracy"], run["protocols"]["accuracy"] = 90.0, "z"
        run["headline"] = ["fid", "accuracy"]
    assert summarize([("a", one), ("b", two)]).columns == ["", "fid [1]", "fid [2]", "accuracy"]
    assert summarize([("a", one), ("b", one)]).columns == ["", "fid", "accuracy"]
    assert summarize([("a", one), ("b", two)], ["accuracy"]).columns == ["", "accuracy"]


def test_a_score_whose_protocol_is_not_known_is_like_no_other() -> None:
    unknown = {"scalars": {"fid": 5.0}, "headline": ["fid"]}
    table = summarize([("a", result(1.0, "x")), ("b", unknown)])
    assert table == Table(["", "fid [1]", "fid [2]"], [["a", "1.00", "-"], ["b", "-", "5.00"]])


def test_a_column_that_no_run_has_is_there_and_empty() -> None:
    assert summarize([("a", result(1.0, "x"))], ["kid"]) == Table(["", "kid"], [["a", "-"]])


def test_no_mean_is_ever_taken_over_two_protocols() -> None:
    """Of results by chance: each cell is the mean of just those values of its row that have its protocol."""
    rng = random.Random(0)
    for _ in range(200):
        runs = [
            (rng.choice("abc"), result(rng.choice([1.0, 10.0, 100.0]), rng.choice("xyz")))
            for _ in range(rng.randint(1, 12))
        ]
        columns, table = columns_of([run for _, run in runs]), summarize(runs)
        assert len({(column.scalar, column.protocol) for column in columns}) == len(columns)
        assert len(set(table.columns)) == len(table.columns) == len(columns) + 1
        for name, *row in table.rows:
            for cell, column in zip(row, columns, strict=True):
                same = [
                    run["scalars"]["fid"]
                    for other, run in runs
                    if other == name and run["protocols"]["fid"] == column.protocol
                ]
                mean = f"{statistics.fmean(same):.2f}" if same else "-"
                assert str(cell).partition(" ")[0] == mean


# What is unlike --------------------------------------------------------------------------------------


def test_numbered_columns_say_in_what_they_differ_and_in_nothing_else() -> None:
    results = [
        result(1.0, "x", samples=1000, split="test", seed=0),
        result(2.0, "y", samples=500, split="test", seed=0),
        result(3.0, "z", samples=1000, split="train", seed=0),
        result(4.0, "x", samples=1000, split="test", seed=0),
    ]
    assert differing_protocols(results) == [
        "fid [1]: samples: 1000, split: test",
        "fid [2]: samples: 500, split: test",
        "fid [3]: samples: 1000, split: train",
    ]
    assert differing_protocols(results[::3]) == []
    assert differing_protocols(results, ["kid"]) == []


def test_what_is_so_for_one_scalar_counts_as_well() -> None:
    one, two = result(1.0, "x", split="test"), result(2.0, "y", split="test")
    for run, features in ((one, 64), (two, 2048)):
        run["evaluations"]["quality"]["protocols"] = {
            "fid": {"features": features},
            "kid": {"degree": features},
        }
    assert differing_protocols([one, two]) == ["fid [1]: features: 64", "fid [2]: features: 2048"]


def test_what_was_not_recorded_is_said_to_be_unlike() -> None:
    unknown = {"scalars": {"fid": 5.0}, "headline": ["fid"]}
    lines = differing_protocols([result(1.0, "x", split="test"), unknown])
    assert lines == ["fid [1]: split: test", "fid [2]: other settings"]


# Oracles ---------------------------------------------------------------------------------------------


def picked(run: Mapping[str, Any], *, oracle: bool) -> dict[str, Any]:
    return {**run, "selected_by": {"step": 3, "metric": "accuracy/target", "oracle": oracle}}


def test_what_was_picked_by_hidden_labels_is_marked_and_averaged_with_its_like_only() -> None:
    fair, oracle = picked(result(1.0, "x"), oracle=False), picked(result(9.0, "x"), oracle=True)
    table = summarize([("DANN", fair), ("DANN", fair), ("DANN", oracle), ("DSN", result(4.0, "x"))])
    assert table.rows == [["DANN", "1.00 ± 0.00"], ["DANN (oracle)", "9.00"], ["DSN", "4.00"]]


# Markdown --------------------------------------------------------------------------------------------


def test_markdown_is_not_broken_by_what_stands_in_it() -> None:
    table = Table(["a|b", "c"], [["x|y", 1.23456], ["two\nlines", 7]])
    assert markdown(table) == "| a\\|b | c |\n| --- | --- |\n| x\\|y | 1.235 |\n| two lines | 7 |\n"


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
    assert [row[0] for row in json.loads(capsys.readouterr().out)["rows"]] == names
    assert lab("run", "r.toml", "--variant", "best", "--run-dir", "alone", "--plugin", GENERATORS) == 0
    capsys.readouterr()
    assert lab("list", "runs", "--run-dir", "alone", "--json", toys=False) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["results"].endswith(" (oracle)")
