"""benchmarks/validators.py: how far scores agree with the accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.validators import agreement, by_scenario, looks, one_table, summary

TRUTH = "accuracy/target"


def found(scores: list[float], accuracies: list[float]) -> list[dict[str, float]]:
    return [{"validators/a": s, TRUTH: t} for s, t in zip(scores, accuracies, strict=True)]


@pytest.mark.parametrize(
    ("scores", "accuracies", "rank", "lost"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 90], 1.0, 0.0),
        ([4, 3, 2, 1], [10, 20, 30, 90], -1.0, 80.0),
        # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 0, 1, 1, 0
        ([1, 2, 3, 4], [10, 30, 20, 90], 0.8, 0.0),
    ],
)
def test_rank_correlation_and_what_is_lost(scores, accuracies, rank: float, lost: float) -> None:
    measured = agreement(found(scores, accuracies), "validators/a", TRUTH)
    assert measured is not None
    assert math.isclose(measured[0], rank) and measured[1:] == (lost, 4)


@pytest.mark.parametrize("few", [found([1, 2], [1, 2]), found([1, 1, 1], [1, 2, 3])])
def test_too_few_looks_or_a_score_that_never_varies_say_nothing(few) -> None:
    assert agreement(few, "validators/a", TRUTH) is None
    assert one_table(few, "validators/", TRUTH).rows == []


def test_a_look_has_the_scalars_of_all_evaluators_at_a_step() -> None:
    events = [
        {"type": "evaluation", "step": 5, "scalars": {"a": 1.0}},
        {"type": "step", "step": 5, "scalars": {"loss": 3.0}},
        {"type": "evaluation", "step": 5, "scalars": {"b": 2.0}},
        {"type": "evaluation", "step": 9, "scalars": {"a": 4.0}},
    ]
    assert looks(events, last=False) == [{"a": 1.0, "b": 2.0}, {"a": 4.0}]
    assert looks(events, last=True) == [{"a": 4.0}]


@dataclass
class Run:
    trained_on: list[str]
    unlabeled: list[str]
    axes: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, Any] = field(
        default_factory=lambda: {"data": {"source": {"name": "a"}, "target": {"name": "b"}}}
    )

    def history(self) -> list[dict[str, Any]]:
        return [{"type": "evaluation", "step": 1, "scalars": {TRUTH: float(len(self.trained_on))}}]


def test_a_run_that_read_the_targets_labels_is_left_out_and_source_only_is_not() -> None:
    runs: Any = [Run(["source"], []), Run(["source", "target"], ["target"]), Run(["target"], [])]
    assert by_scenario(runs, last=False) == {"source: a, target: b": [{TRUTH: 1.0}, {TRUTH: 2.0}]}


def test_the_summary_has_the_mean_over_scenarios_and_the_worst() -> None:
    scenarios = {"one": found([1, 2, 3], [10, 20, 30]), "two": found([3, 2, 1], [10, 20, 30])}
    table = summary(scenarios, "validators/", TRUTH)
    assert table.rows == [["a", "0.00", "-1.00", "10.0", "20.0"]]
