"""The table of an experiment."""

from __future__ import annotations

from pluglab.tables import compare


def cells(*values: float) -> list[object]:
    """The row of one variant with a run a value."""
    results = [("a", {"scalars": {"score": value}}) for value in values]
    (row,) = compare(results, ["score"]).rows
    return list(row)


def test_small_numbers_keep_three_significant_digits() -> None:
    assert cells(91.2345) == ["a", "91.23"]
    assert cells(0.0) == ["a", "0.00"]
    assert cells(0.5) == ["a", "0.500"]
    assert cells(-0.0045449) == ["a", "-0.00454"]
    assert cells(float("nan")) == ["a", "nan"]


def test_a_deviation_has_as_many_places_as_its_mean() -> None:
    """The sample deviation of 0.012 and 0.016 is 0.004 / sqrt 2."""
    assert cells(0.012, 0.016) == ["a", "0.0140 ± 0.0028"]
    assert cells(90.0, 92.0) == ["a", "91.00 ± 1.41"]


def test_runs_without_the_figure_are_counted() -> None:
    table = compare([("a", {"scalars": {"score": 1.0}}), ("a", {"scalars": {}}), ("b", {})], ["score"])
    assert table.rows == [["a", "1.00 (1 of 2 seeds)"], ["b", "-"]]
