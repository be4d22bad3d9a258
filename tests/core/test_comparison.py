"""Runs beside one another: what is averaged, what differs, what may stand in one column."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pluglab.comparison import (
    Comparison,
    Scores,
    as_latex,
    as_markdown,
    compare,
    difference,
    in_one,
    pivots,
    tables,
)
from pluglab.comparison.changes import changes_of
from pluglab.errors import UserError
from pluglab.protocols import Table
from pluglab.records import Record
from tests.core.made_records import record


def comparison(records: Sequence[Record], *scalars: str) -> Comparison:
    return compare(records, pytest.fail, scalars)


def table(records: Sequence[Record], *scalars: str) -> Table:
    return in_one(tables(comparison(records, *scalars)))


def scored(variant: str, *values: float, name: str = "score", **more: Any) -> list[Record]:
    return [record(variant, seed, scalars={name: value}, **more) for seed, value in enumerate(values)]


# Statistics ------------------------------------------------------------------------------------------


def test_mean_and_sample_deviation_over_seeds() -> None:
    """The sample deviation of 0.012 and 0.016 is 0.004 / sqrt 2."""
    (scores,) = (
        found.scores(found.groups[0], found.columns[0]) for found in [comparison(scored("a", 0.012, 0.016))]
    )
    assert scores is not None and scores.by_seed == {0: 0.012, 1: 0.016}
    assert scores.mean == pytest.approx(0.014) and scores.n == scores.runs == 2
    assert scores.deviation == pytest.approx(0.004 / math.sqrt(2))
    assert scores.text() == "0.0140 ± 0.0028" and scores.text(1) == "0.0 ± 0.0"


def test_one_run_has_no_deviation() -> None:
    assert table(scored("a", 91.2345)).rows == [["a", "91.23"]]


def test_runs_without_the_score_are_counted() -> None:
    records = [*scored("a", 1.0), record("a", 1), record("b")]
    assert table(records, "score").rows == [["a", "1.00 (1 of 2 seeds)"], ["b", "-"]]


def test_what_was_not_finite_counts_as_missing() -> None:
    lost = record("a", 1, scalars={"score": None})  # type: ignore[dict-item]
    assert table([*scored("a", 1.0), lost]).rows == [["a", "1.00 (1 of 2 seeds)"]]


# Groups ----------------------------------------------------------------------------------------------


def test_only_runs_that_differ_in_nothing_but_the_seed_are_averaged() -> None:
    records = [*scored("a", 1.0, 3.0), *scored("a", 7.0, steps=200), *scored("a", 9.0, picked_by="score")]
    rows = table(records).rows
    assert [row[1] for row in rows] == ["2.00 ± 1.41", "7.00", "9.00"]


def test_rows_keep_the_order_of_the_records() -> None:
    records = [*scored("z", 1.0), *scored("a", 2.0), *scored("m", 3.0)]
    assert [row[0] for row in table(records).rows] == ["z", "a", "m"]


def test_titles_do_not_keep_alike_runs_apart_and_the_newer_counts(tmp_path: Any) -> None:
    said: list[str] = []
    records = [*scored("source only", 1.0, title="dann"), *scored("source only", 2.0, title="dsn")]
    found = compare([*records, *scored("DSN", 3.0, title="dsn")], said.append)
    assert [group.label for group in found.groups] == ["source only", "DSN"]
    assert len(said) == 1 and "repeats" in said[0]


def test_rows_of_one_name_are_told_apart_by_what_differs_and_by_nothing_else() -> None:
    def labels(*records: Record) -> list[str]:
        return [group.label for group in comparison(records).groups]

    lr = [record("DANN", trainer={"optimizer": {"name": "adam", "lr": lr}}) for lr in (1e-3, 1e-2)]
    assert labels(*lr) == ["DANN (lr 0.001)", "DANN (lr 0.01)"]
    assert labels(*lr, record("DSN")) == ["DANN (lr 0.001)", "DANN (lr 0.01)", "DSN"]
    two = [record("a", steps=1), record("a", steps=2, batch_size=3)]
    assert labels(*two) == ["a (steps 1, no batch_size)", "a (steps 2, batch_size 3)"]
    unknown = [record("a", test_hashes={}), record("a", test_hashes={"x": "1"}, title="u")]
    assert labels(*unknown) == ["a (t)", "a (u)"]
    unknown = [record("a", test_hashes={}), record("a", test_hashes={"x": "1"})]
    assert labels(*unknown) == ["a (1)", "a (2)"]


# What differs ----------------------------------------------------------------------------------------


def test_only_options_that_differ_are_told_and_each_by_its_dotted_key() -> None:
    one = {"steps": 1, "trainer": {"name": "a", "optimizer": {"name": "adam", "lr": 0.1}}, "title": "x"}
    two = {"steps": 1, "trainer": {"name": "a", "optimizer": {"name": "adam", "lr": 0.2}}, "title": "y"}
    key = "trainer.optimizer.lr"
    assert changes_of([one, two, one]) == [{key: 0.1}, {key: 0.2}, {key: 0.1}]
    assert changes_of([one, one]) == [{}, {}] and changes_of([one]) == [{}]


def test_the_name_of_a_component_stands_for_options_that_only_it_has() -> None:
    adam = {"o": {"name": "adam", "lr": 0.1, "betas": [0.9, 0.99]}}
    sgd = {"o": {"name": "sgd", "lr": 0.2, "momentum": 0.9}}
    assert changes_of([adam, sgd]) == [{"o.name": "adam", "o.lr": 0.1}, {"o.name": "sgd", "o.lr": 0.2}]
    other = {"o": {"name": "sgd", "lr": 0.2, "momentum": 0.5}}
    assert changes_of([adam, sgd, other])[1] == {"o.name": "sgd", "o.lr": 0.2, "o.momentum": 0.9}
    assert changes_of([adam, sgd, other])[0]["o.momentum"] is None


def test_the_first_key_stands_for_a_table_that_some_lack() -> None:
    one = {"select": {"metric": "a", "mode": "max"}}
    assert changes_of([one, {}]) == [{"select.metric": "a"}, {"select.metric": None}]
    other = {"select": {"metric": "a", "mode": "min"}}
    assert changes_of([one, other, {}])[1] == {"select.metric": "a", "select.mode": "min"}


def test_lists_of_components_are_told_by_names_or_by_the_option_that_differs() -> None:
    def recipe(*items: dict[str, Any]) -> dict[str, Any]:
        return {"transforms": list(items)}

    near, far = {"name": "zoom", "factor": 1}, {"name": "zoom", "factor": 2}
    assert changes_of([recipe(near), recipe(far)]) == [{"transforms.0.factor": 1}, {"transforms.0.factor": 2}]
    found = changes_of([recipe(near), recipe(near, {"name": "flip"}), recipe()])
    assert found == [{"transforms": ["zoom"]}, {"transforms": ["zoom", "flip"]}, {"transforms": []}]


def test_options_that_differ_are_columns_where_that_is_asked_for() -> None:
    records = [*scored("a", 1.0, trainer={"width": 4}), *scored("b", 2.0, trainer={"width": 8})]
    (grid,) = tables(comparison(records), "columns")
    assert grid.table() == Table(["", "trainer.width", "score"], [["a", "4", "1.00"], ["b", "8", "2.00"]])


# Protocols -------------------------------------------------------------------------------------------


def fid(variant: str, seed: int, value: float, protocol: str, **settings: Any) -> Record:
    return record(variant, seed, scalars={"fid": value}, protocol=protocol, settings=settings)


def test_scores_of_unlike_protocols_have_a_column_each_and_no_common_mean() -> None:
    runs = [fid("a", 0, 1.0, "x"), fid("a", 1, 3.0, "x"), fid("a", 2, 50.0, "y"), fid("b", 0, 7.0, "y")]
    assert table(runs) == Table(
        ["", "fid [1]", "fid [2]"],
        [["a", "2.00 ± 1.41 (2 of 3 seeds)", "50.00 (1 of 3 seeds)"], ["b", "-", "7.00"]],
    )


def test_only_scalars_that_have_several_protocols_are_numbered() -> None:
    one, two = fid("a", 0, 1.0, "x"), fid("b", 0, 2.0, "y")
    for run in (one, two):
        run.results["scalars"]["accuracy"], run.results["protocols"]["accuracy"] = 90.0, "z"
        run.results["headline"].append("accuracy")
    assert table([one, two]).columns == ["", "fid [1]", "fid [2]", "accuracy"]
    assert table([one, fid("b", 0, 2.0, "x")]).columns == ["", "fid", "accuracy"]
    assert table([one, two], "accuracy").columns == ["", "accuracy"]


def test_a_score_whose_protocol_is_not_known_is_like_no_other() -> None:
    found = table([fid("a", 0, 1.0, "x"), fid("b", 0, 5.0, "")])
    assert found == Table(["", "fid [1]", "fid [2]"], [["a", "1.00", "-"], ["b", "-", "5.00"]])


def test_no_mean_is_ever_taken_over_two_protocols() -> None:
    """Of results by chance: each cell is the mean of just those values of its row that have its protocol."""
    rng = random.Random(0)
    for _ in range(200):
        runs = [
            fid(rng.choice("abc"), seed, rng.choice([1.0, 10.0, 100.0]), rng.choice("xyz"))
            for seed in range(rng.randint(1, 12))
        ]
        found = comparison(runs)
        assert len({column.title for column in found.columns}) == len(found.columns)
        for group in found.groups:
            for column in found.columns:
                same = [
                    run.scalars["fid"]
                    for run in runs
                    if run.variant == group.label and run.results["protocols"]["fid"] == column.protocol
                ]
                scores = found.scores(group, column)
                assert (scores.mean if scores else None) == (statistics.fmean(same) if same else None)


def test_numbered_columns_say_in_what_they_differ_and_in_nothing_else() -> None:
    runs = [
        fid("a", 0, 1.0, "x", samples=1000, split="test", shots=0),
        fid("a", 1, 2.0, "y", samples=500, split="test", shots=0),
        fid("a", 2, 3.0, "z", samples=1000, split="train", shots=0),
        fid("a", 3, 4.0, "x", samples=1000, split="test", shots=0),
    ]
    assert comparison(runs).notes == [
        "fid [1]: samples: 1000, split: test",
        "fid [2]: samples: 500, split: test",
        "fid [3]: samples: 1000, split: train",
    ]
    assert comparison(runs[::3]).notes == []


def test_what_is_so_for_one_scalar_counts_as_well() -> None:
    one, two = fid("a", 0, 1.0, "x", split="test"), fid("b", 0, 2.0, "y", split="test")
    for run, features in ((one, 64), (two, 2048)):
        own = {"fid": {"features": features}, "kid": {"degree": features}}
        run.results["evaluations"]["measured"]["protocols"] = own
    assert comparison([one, two]).notes == ["fid [1]: features: 64", "fid [2]: features: 2048"]


def test_what_was_not_recorded_is_said_to_be_unlike() -> None:
    found = comparison([fid("a", 0, 1.0, "x", split="test"), fid("b", 0, 5.0, "")])
    assert found.notes == ["fid [1]: split: test", "fid [2]: other settings"]


def test_a_scalar_that_no_run_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no run has the scalar 'scor'") as caught:
        comparison(scored("a", 1.0), "scor")
    assert caught.value.help[0] == "did you mean 'score'?"


# Oracles and the best --------------------------------------------------------------------------------


def test_what_was_picked_by_hidden_labels_is_marked_and_averaged_with_its_like_only() -> None:
    fair = scored("DANN", 1.0, 1.0)
    oracle = [record("DANN", 2, scalars={"score": 9.0}, oracle=True)]
    rows = table([*fair, *oracle, *scored("DSN", 4.0)]).rows
    assert [row[1] for row in rows] == ["1.00 ± 0.00", "9.00", "4.00"]
    assert [str(row[0]).endswith("(oracle)") for row in rows] == [False, True, False]


def best(records: Sequence[Record]) -> set[str]:
    found = comparison(records)
    return {group.label for group in found.best(found.columns[0], found.scenarios[0])}


def test_the_best_is_named_where_it_is_known_what_is_better() -> None:
    assert best([*scored("a", 1.0), *scored("b", 2.0)]) == set()
    assert best([*scored("a", 1.0, better={"score": "min"}), *scored("b", 2.0)]) == {"a"}
    assert best([*scored("a", 1.0, better={"score": "max"}), *scored("b", 2.0)]) == {"b"}
    assert best([*scored("a", 2.0, better={"score": "max"}), *scored("b", 2.0)]) == {"a", "b"}
    assert best(scored("a", 2.0, better={"score": "max"})) == set()
    assert best([*scored("a", 1.0, picked_by="score"), *scored("b", 2.0)]) == {"b"}


def test_what_hidden_labels_picked_is_never_the_best() -> None:
    runs = scored("a", 1.0, 2.0, better={"score": "max"})
    assert best([*runs, *scored("b", 0.5), *scored("c", 9.0, oracle=True)]) == {"a"}


def test_an_upper_bound_is_never_the_best() -> None:
    """It was trained with the labels that the others may not see; the others are compared as ever."""
    better = {"better": {"accuracy/target": "max"}}
    runs = [
        adapted("source only", "usps", "svhn", 32.0, trained_on=("source",), hidden=("target",), **better),
        adapted("DANN", "usps", "svhn", 71.0, **better),
        adapted("target only", "usps", "svhn", 94.0, trained_on=("target",), hidden=("source",), **better),
    ]
    found = comparison(runs, "accuracy/target")
    assert {group.label for group in found.best(found.columns[0], found.scenarios[0])} == {"DANN"}
    (grid,) = tables(found)
    assert grid.best() == {(1, 1)}


# Scenarios -------------------------------------------------------------------------------------------


def adapted(method: str, source: str, target: str, value: float, **more: Any) -> Record:
    return record(
        method,
        data={"target": target, "source": source},
        scalars={"accuracy/source": 99.0, "accuracy/target": value},
        **{"trained_on": ("source", "target"), "hidden": ("target",), **more},
    )


USPS_SVHN = [
    adapted(
        "source only",
        "usps",
        "svhn",
        32.0,
        trained_on=("source",),
        hidden=("target",),
        trainer={"name": "source_only"},
    ),
    adapted("DANN", "usps", "svhn", 71.0, title="dann_usps_svhn"),
    adapted(
        "target only",
        "usps",
        "svhn",
        94.0,
        trained_on=("target",),
        hidden=("source",),
        trainer={"name": "target_only"},
    ),
]
MNISTM_SVHN = [
    adapted(
        "source only",
        "mnist_m",
        "svhn",
        31.0,
        trained_on=("source",),
        hidden=("target",),
        trainer={"name": "source_only"},
    ),
    adapted("DANN", "mnist_m", "svhn", 75.0),
]


def test_two_scenarios_never_share_a_table() -> None:
    first, second = tables(comparison([*USPS_SVHN, *MNISTM_SVHN], "accuracy/target"))
    assert (first.title, second.title) == ("usps to svhn", "mnist_m to svhn")
    assert first.table().rows == [["source only", "32.00"], ["DANN", "71.00"], ["target only", "94.00"]]
    assert second.table().rows[:2] == [["source only", "31.00"], ["DANN", "75.00"]]


def test_a_model_of_the_target_alone_stands_in_every_scenario_with_that_target() -> None:
    """And there with just the score that does not come from the other scenario's source."""
    other = adapted("DANN", "usps", "mnist_m", 73.0)
    found = comparison([*USPS_SVHN, *MNISTM_SVHN, other])
    second, third = tables(found)[1:]
    assert second.table().rows[2] == ["target only", "-", "94.00"]
    assert [row[0] for row in third.table().rows] == ["DANN"]


def test_a_pivot_of_methods_by_scenarios() -> None:
    (grid,) = pivots(comparison([*USPS_SVHN, *MNISTM_SVHN], "accuracy/target"), ["scenario"], ["method"])
    assert grid.title == "accuracy/target"
    assert grid.table() == Table(
        ["scenario", "source only", "DANN", "target only"],
        [["usps to svhn", "32.00", "71.00", "94.00"], ["mnist_m to svhn", "31.00", "75.00", "94.00"]],
    )


def test_the_words_of_a_matrix_are_those_of_the_table() -> None:
    def cell(scenario: str, method: str, source: str, value: float) -> Record:
        axes = {"scenario": scenario, "method": method}
        return adapted(f"{scenario}, {method}", source, "svhn", value, axes=axes, trainer={"name": method})

    cells = [
        cell("USPS to SVHN", "dann", "usps", 71.0),
        cell("USPS to SVHN", "dsn", "usps", 80.0),
        cell("MNIST-M to SVHN", "dann", "mnist_m", 75.0),
    ]
    bound = adapted(
        "SVHN, target only",
        "usps",
        "svhn",
        94.0,
        trained_on=("target",),
        hidden=("source",),
        axes={"method": "target only"},
    )
    found = comparison([*cells, bound], "accuracy/target")
    (grid,) = pivots(found, ["method"], ["scenario"])
    assert grid.table() == Table(
        ["method", "USPS to SVHN", "MNIST-M to SVHN"],
        [["dann", "71.00", "75.00"], ["dsn", "80.00", "-"], ["target only", "94.00", "94.00"]],
    )
    assert found.groups[0].label == "USPS to SVHN, dann"


def test_one_name_for_unlike_data_is_no_one_scenario() -> None:
    axes = {"axes": {"scenario": "easy"}}
    records = [adapted("a", "usps", "svhn", 1.0, **axes), adapted("b", "mnist_m", "svhn", 2.0, **axes)]
    assert comparison(records).scenarios == ["easy", "easy, mnist_m to svhn"]


def test_one_data_set_with_other_test_images_is_another_scenario() -> None:
    def run(variant: str, found: str) -> Record:
        return record(variant, scalars={"score": 1.0}, test_hashes={"train": found})

    assert comparison([run("a", "x"), run("b", "y")]).scenarios == ["digits", "digits (2)"]
    assert comparison([run("a", "x"), run("b", "x")]).scenarios == ["digits"]


def test_a_table_turned_by_options() -> None:
    records = [
        *scored("a", 1.0, 3.0, trainer={"width": 4, "lr": 0.1}),
        *scored("b", 5.0, trainer={"width": 4, "lr": 0.2}),
        *scored("c", 7.0, trainer={"width": 8, "lr": 0.2}),
    ]
    (grid,) = pivots(comparison(records), ["trainer.width"], ["trainer.lr"])
    assert grid.table() == Table(
        ["trainer.width", "0.1", "0.2"], [["4", "2.00 ± 1.41", "5.00"], ["8", "-", "7.00"]]
    )
    assert pivots(comparison(records), ["trainer", "variant"], ["trainer.lr"])[0].rows[0][0] == ("toy", "a")
    with pytest.raises(
        UserError, match=r"'b' and 'c' have the same trainer\.lr and trainer: width 8"
    ) as caught:
        pivots(comparison(records), ["trainer.lr"], ["trainer"])
    assert caught.value.help == ("give another key to --rows, of: method, trainer.width",)
    with pytest.raises(UserError, match=r"no run has 'trainer\.widht'") as caught:
        pivots(comparison(records), ["trainer.widht"], ["trainer"])
    assert caught.value.help[0] == "did you mean 'trainer.width'?"


def test_a_table_is_printed_without_the_columns_that_none_of_its_rows_has() -> None:
    records = [*scored("a", 1.0, name="fid"), *scored("b", 2.0, name="accuracy")]
    (grid,) = tables(comparison(records))
    assert grid.trimmed == grid
    alone = replace(grid, rows=grid.rows[1:])
    assert alone.table().rows == [["b", "-", "2.00"]]
    assert alone.trimmed.table() == Table(["", "accuracy"], [["b", "2.00"]])
    assert "fid" not in as_markdown([alone]) and "fid" not in as_latex([alone])


def test_a_pivot_keeps_unlike_protocols_apart() -> None:
    records = [fid("a", 0, 1.0, "x"), fid("a", 1, 3.0, "y"), fid("b", 0, 5.0, "y")]
    (grid,) = pivots(comparison(records), ["method"], ["scenario"])
    assert grid.table().columns == ["method", "digits [1]", "digits [2]"]
    assert grid.table().rows == [["a", "1.00 (1 of 2 seeds)", "3.00 (1 of 2 seeds)"], ["b", "-", "5.00"]]


# Differences -----------------------------------------------------------------------------------------


def scores(*values: float) -> Scores:
    return Scores(dict(enumerate(values)), len(values))


def test_the_interval_is_that_of_the_paired_differences() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3, and t(2) is 4.302653 at 0.975."""
    found = difference(scores(11, 22, 33), scores(10, 20, 30), "max")
    assert found is not None and found.interval is not None
    half = 4.302652729911275 / math.sqrt(3)
    assert found.mean == 2 and found.n == 3
    assert found.interval == pytest.approx((2 - half, 2 + half))
    assert not found.certain and found.verdict == ""


def test_the_interval_by_bootstrap_is_that_of_resampled_seeds() -> None:
    """Against Efron 1987 written plainly, on all 4^4 resamples of four differences."""
    values = [1.0, 2.0, 4.0, 9.0]
    found = difference(scores(*values), scores(0, 0, 0, 0), "max")
    assert found is not None and found.bootstrap is not None
    means = sorted(statistics.fmean(one) for one in itertools.product(values, repeat=4))
    normal, mean = statistics.NormalDist(), statistics.fmean(values)
    below = sum((one < mean) + (one <= mean) for one in means) / 2 / len(means)
    apart = [(sum(values) - value) / 3 for value in values]
    off = [mean - one for one in apart]
    bend = sum(one**3 for one in off) / (6 * sum(one**2 for one in off) ** 1.5)
    bias = normal.inv_cdf(below)
    shifted = [bias + normal.inv_cdf(share) for share in (0.025, 0.975)]
    shares = [normal.cdf(bias + one / (1 - bend * one)) for one in shifted]
    limits = [means[round(share * (len(means) - 1))] for share in shares]
    assert found.bootstrap == pytest.approx(limits, abs=0.3)
    assert difference(scores(*values), scores(0, 0, 0, 0), "max") == found  # nothing is left to chance


def test_both_intervals_must_exclude_zero() -> None:
    """Three seeds: no resample goes below 1, but Student's t knows how little three are."""
    found = difference(scores(1, 2, 3), scores(0, 0, 0), "max")
    assert found is not None and found.bootstrap is not None and found.interval is not None
    assert found.bootstrap[0] >= 1 and found.interval[0] < 0 and found.verdict == ""
    assert replace(found, interval=(0.1, 3.9)).verdict == "ahead"
    assert replace(found, interval=(0.1, 3.9), bootstrap=(-0.1, 3.0)).verdict == ""
    assert replace(found, interval=(0.1, 3.9), bootstrap=None).verdict == ""


def test_ahead_is_only_said_where_the_interval_excludes_zero() -> None:
    more, less = scores(80.0, 81.0, 82.0), scores(70.0, 70.9, 72.1)
    assert [difference(more, less, better).verdict for better in ("max", "min", None)] == [  # type: ignore
        "ahead",
        "behind",
        "higher",
    ]
    assert difference(less, more, "max").verdict == "behind"  # type: ignore[union-attr]


def test_too_few_seeds_tell_nothing() -> None:
    one = difference(scores(80.0), scores(70.0), "max")
    assert one is not None and one.interval is one.bootstrap is None and one.verdict == ""
    alike = difference(scores(80.1, 90.1), scores(80.0, 90.0), "max")
    assert alike is not None and alike.interval is None
    assert difference(Scores({0: 1.0}, 1), Scores({1: 1.0}, 1)) is None
    common = difference(Scores({0: 1.0, 1: 5.0}, 2), Scores({1: 4.0, 2: 9.0}, 2))
    assert common is not None and common.n == 1 and common.mean == 1.0


# As data ---------------------------------------------------------------------------------------------


def test_numbers_stay_numbers() -> None:
    (row,) = comparison(scored("a", 1.0, 3.0)).to_dict()["rows"]
    assert row["scores"] == {
        "score": {"mean": 2.0, "deviation": math.sqrt(2), "n": 2, "runs": 2, "seeds": {"0": 1.0, "1": 3.0}}
    }
    assert (row["label"], row["scenario"], row["oracle"]) == ("a", "digits", False)
    assert row["runs"] == ["t/a0", "t/a1"]
