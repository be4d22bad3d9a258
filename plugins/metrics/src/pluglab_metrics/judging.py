"""Predictions held against labels: accuracy, overall and by class, confusion, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pluglab.protocols import Table
from pluglab.storage.csv_files import write_csv
from pluglab_metrics.accuracy import by_class, confusion, percent_right
from pluglab_metrics.calibration import (
    Bin,
    confidence_of,
    expected_calibration_error,
    plot_of,
    reliability,
)
from pluglab_plots import redraw


@dataclass(frozen=True)
class Judgement:
    """`matrix`: int64 K x K counts, a row a true class. The calibration error is Guo's ECE in percent."""

    classes: tuple[str, ...]
    matrix: Tensor
    bins: list[Bin]

    @property
    def count(self) -> int:
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """In percent."""
        return percent_right(self.matrix)

    @property
    def calibration_error(self) -> float:
        return 100 * expected_calibration_error(self.bins)

    @property
    def by_class(self) -> Table:
        return by_class(self.matrix, self.classes)

    def to_dict(self) -> dict[str, Any]:
        rows = [dict(zip(self.by_class.columns, row, strict=True)) for row in self.by_class.rows]
        scores = {"accuracy": self.accuracy, "calibration_error": self.calibration_error}
        return {"judged": self.count, **scores, "by_class": rows}

    def write(self, stem: Path, dataset: str) -> Iterator[Path]:
        """Pictures and CSV files whose names begin with `stem`; yields each when it is there."""
        title = f"{dataset}: {self.accuracy:.2f} % of {self.count:,} images right"
        counts = {"plot": "matrix", "title": title, "classes": self.classes, "counts": self.matrix}
        title = f"{dataset}: calibration error {self.calibration_error:.2f} %"
        for name, plot in (("confusion", counts), ("calibration", plot_of(self.bins, title))):
            yield redraw(plot, _beside(stem, f"{name}.png"), dpi=120)
        yield _table(_beside(stem, "classes.csv"), self.by_class)
        rows = [(name, *row) for name, row in zip(self.classes, self.matrix.tolist(), strict=True)]
        yield _table(_beside(stem, "confusion.csv"), Table(("true class", *self.classes), rows))
        columns = "low", "high", "count", "confidence", "accuracy"
        found = [[_cell(vars(one)[key]) for key in columns] for one in self.bins]
        yield _table(_beside(stem, "calibration.csv"), Table(columns, found))


def judge(probabilities: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Judgement:
    """Probabilities N x K against labels int64 N."""
    matrix = confusion(labels, probabilities.argmax(1), len(classes))
    return Judgement(classes, matrix, reliability(*confidence_of(probabilities, labels)))


def _beside(stem: Path, name: str) -> Path:
    return stem.with_name(f"{stem.name}_{name}")


def _table(path: Path, table: Table) -> Path:
    write_csv(path, table.columns, table.rows)
    return path


def _cell(value: float | None) -> float | str:
    return "" if value is None else value
