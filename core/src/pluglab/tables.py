"""Tables of numbers: means over seeds, no number beside one of another protocol, Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluglab.protocols import Table

Results = Mapping[str, Any]
"""What results.json holds: `scalars`, the hash of each one's protocol in `protocols`, `headline`."""


@dataclass(frozen=True)
class Column:
    """A scalar under one protocol; `number` tells it from the same scalar under another one."""

    scalar: str
    protocol: str
    number: int = 0

    @property
    def title(self) -> str:
        return f"{self.scalar} [{self.number}]" if self.number else self.scalar

    def value(self, results: Results) -> float | None:
        if results.get("protocols", {}).get(self.scalar, "") != self.protocol:
            return None
        value: float | None = results.get("scalars", {}).get(self.scalar)
        return value


def columns_of(results: Iterable[Results], wanted: Sequence[str] = ()) -> list[Column]:
    """The columns of a table of these results: those that are `wanted`, or the headlines of the evaluators.

    Scalars of one name that were measured under unlike protocols have a column each, numbered from 1.
    """
    results = list(results)
    headline = dict.fromkeys(name for result in results for name in result.get("headline", []))
    columns = []
    for name in wanted or headline:
        having = [result for result in results if name in result.get("scalars", {})]
        hashes = list(dict.fromkeys(result.get("protocols", {}).get(name, "") for result in having))
        several = len(hashes) > 1
        columns += [Column(name, one, i + 1 if several else 0) for i, one in enumerate(hashes or [""])]
    return columns


def summarize(rows: Sequence[tuple[str, Results]], wanted: Sequence[str] = ()) -> Table:
    """A row a name: the mean of its results, and the sample deviation where it has several.

    The name of a row that was picked by hidden labels says so: 'DANN (oracle)'.
    """
    columns = columns_of((result for _, result in rows), wanted)
    groups: dict[str, list[Results]] = {}
    for name, result in rows:
        groups.setdefault(marked(name, result), []).append(result)
    cells = [[name, *(_cell(group, column) for column in columns)] for name, group in groups.items()]
    return Table(["", *(column.title for column in columns)], cells)


def marked(name: str, results: Results) -> str:
    """The name, with the mark of a result whose checkpoint was picked by labels that are hidden."""
    return f"{name} (oracle)" if results.get("selected_by", {}).get("oracle") else name


def differing_protocols(results: Iterable[Results], wanted: Sequence[str] = ()) -> list[str]:
    """A line for each numbered column: in what its protocol differs from the others of that name."""
    results = list(results)
    columns = [column for column in columns_of(results, wanted) if column.number]
    settings = {column: _settings(column, results) for column in columns}
    lines = []
    for column, own in settings.items():
        others = [found for other, found in settings.items() if other.scalar == column.scalar]
        differing = [key for key in own if any(other.get(key) != own[key] for other in others)]
        words = ", ".join(f"{key}: {own[key]}" for key in differing) or "other settings"
        lines.append(f"{column.title}: {words}")
    return lines


def _settings(column: Column, results: Iterable[Results]) -> Mapping[str, Any]:
    """The protocol behind a column, as the first result that has it recorded it."""
    for result in results:
        for evaluation in result.get("evaluations", {}).values():
            if column.value(result) is not None and column.scalar in evaluation.get("scalars", {}):
                own: Mapping[str, Any] = evaluation.get("protocols", {}).get(column.scalar, {})
                return {**evaluation.get("protocol", {}), **own}
    return {}


def _cell(results: Sequence[Results], column: Column) -> str:
    values = [value for value in map(column.value, results) if value is not None]
    if not values:
        return "-"
    mean = statistics.fmean(values)
    places = decimals(mean)
    spread = f" ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
    missing = f" ({len(values)} of {len(results)} seeds)" if len(values) < len(results) else ""
    return f"{mean:.{places}f}{spread}{missing}"


def decimals(value: float) -> int:
    """Decimal places: two, or what three significant digits of a small number take."""
    return 2 if value == 0 or not math.isfinite(value) else max(2, 2 - math.floor(math.log10(abs(value))))


def markdown(table: Table) -> str:
    """A table as Markdown; floats have four significant digits."""
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_text(value) for value in row) + " |" for row in rows) + "\n"


def _text(value: str | float | int) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
