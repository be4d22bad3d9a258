"""Runs as rows: what `lab list runs` shows, and how one asks for some of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluglab.cli.output import echo, print_json, print_table
from pluglab.comparison.changes import changes_of
from pluglab.comparison.groups import words, words_of_changes
from pluglab.errors import UserError, did_you_mean
from pluglab.records import Record, read_record
from pluglab.storage.run_folder import RunFolder, Tags, find_runs, is_experiment, run_folders

FACTS = "run", "title", "variant", "seed", "status", "started", "seconds", "step", "steps", "bytes", "note"
UNITS = "B", "kB", "MB", "GB", "TB"
GOING = "running", "died"  # of these run.json does not say yet how far they are


@dataclass
class Row:
    """One run. `record` is None for a damaged one, and `error` says why; `changed` are the options in which
    the runs of one recipe differ."""

    path: Path
    record: Record | None
    error: str = ""
    tags: Tags = field(default_factory=Tags)
    changed: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return self.record.status if self.record else "damaged"

    def step(self) -> int | None:
        if self.record is None or self.record.steps is None:
            return None
        known = None if self.status in GOING else self.record.state.get("step")
        return self.record.step() if known is None else int(known)

    def headline(self) -> dict[str, float]:
        """The scores that belong in a table."""
        record = self.record
        return {k: record.scalars[k] for k in record.headline if k in record.scalars} if record else {}

    def facts(self) -> dict[str, Any]:
        """All that is known of it, for `--json` and for sorting."""
        record = self.record
        if record is None:
            return {"run": str(self.path), "status": self.status, "error": self.error}
        return {
            "run": str(self.path),
            "title": record.title,
            "variant": record.variant,
            "seed": record.seed,
            "trainer": record.options.get("trainer.name"),
            "status": self.status,
            "started": record.started.isoformat() if record.started else None,
            "seconds": record.seconds,
            "step": self.step(),
            "steps": record.steps,
            "changed": self.changed,
            "scalars": record.scalars,
            "headline": record.headline,
            "oracle": record.oracle,
            "bytes": record.size(),
            "tags": list(self.tags.tags),
            "note": self.tags.note,
        }


def list_runs(
    root: Path, wheres: Sequence[str], statuses: Sequence[str], sort: str, *, reverse: bool, as_json: bool
) -> None:
    """Print the runs in `root`, those that were asked for. Raises `UserError` for a key that no run has."""
    there = read_rows(root)
    rows = [row for row in chosen(there, wheres) if not statuses or row.status in statuses]
    note_changes(rows)
    rows = _sorted(rows, sort, reverse)
    if as_json:
        print_json([row.facts() for row in rows])
    elif rows:
        _print(rows)
    else:
        other = "is as asked" if there else f"in {root}; --run-dir names another folder"
        echo(f"no runs {other}" if not there else f"no run of {len(there)} {other}")


def read_rows(root: Path) -> list[Row]:
    """The runs directly below `root/<title>/`, and those of the experiments there, the newest last."""
    return [row for folder in find_runs(root) for row in _rows_of(folder)]


def _rows_of(folder: Path) -> list[Row]:
    try:
        experiment = folder if is_experiment(folder) else None
        return [_row(run, experiment) for run in run_folders(folder)]
    except UserError as error:
        return [Row(folder, None, error.message)]


def rows_of_runs(runs: Iterable[RunFolder]) -> list[Row]:
    """A row for each, whatever it belongs to."""
    return [_row(run, None) for run in runs]


def _row(run: RunFolder, experiment: Path | None) -> Row:
    try:
        return Row(run.path, read_record(run.path, experiment), tags=run.tags())
    except UserError as error:
        return Row(run.path, None, error.message)


def note_changes(rows: Iterable[Row]) -> None:
    """Say of each run in which options it differs from others of its recipe."""
    titles: dict[str, list[tuple[Row, Record]]] = {}
    for row in rows:
        if row.record is not None:
            titles.setdefault(row.record.title, []).append((row, row.record))
    for alike in titles.values():
        for (row, _), changed in zip(alike, changes_of([r.recipe for _, r in alike]), strict=True):
            row.changed = changed


# Which ------------------------------------------------------------------------------------------------


def chosen(rows: Sequence[Row], wheres: Sequence[str]) -> list[Row]:
    """Those for which every condition holds. Raises `UserError` for a condition that cannot be read."""
    for key, holds in map(_condition, wheres):
        if rows and key != "tag" and all(_value(row, key) is None for row in rows):
            raise _unknown(key, rows)
        rows = [row for row in rows if holds(row)]
    return list(rows)


def _condition(text: str) -> tuple[str, Callable[[Row], bool]]:
    key, sign, wanted = text.partition("!=" if "!=" in text else "=")
    key = key.strip()
    if not sign or not key:
        raise UserError(f"'{text}' is no condition", help=["write KEY=VALUE or KEY!=VALUE, as in seed=1"])
    compare = operator.ne if sign == "!=" else operator.eq
    if key == "tag":
        return key, lambda row: compare(wanted.strip() in row.tags.tags, True)
    return key, lambda row: compare(_same(_value(row, key), wanted.strip()), True)


def _same(value: Any, wanted: str) -> bool:
    """Whether a value is what was written: a number as a number, anything else as its text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return words(value) == wanted


def _value(row: Row, key: str) -> Any:
    """A fact, a scalar or an option of the recipe; None where the run has none of that name."""
    if key == "status":
        return row.status
    if key == "run":
        return str(row.path)
    if row.record is None:
        return None
    if key in FACTS:
        return row.facts()[key]
    known: Mapping[str, Any] = {**row.record.options, **row.record.scalars}
    return known.get(key, known.get(f"{key}.name"))


def _unknown(key: str, rows: Iterable[Row]) -> UserError:
    records = [row.record for row in rows if row.record]
    known = dict.fromkeys([*FACTS, "tag", *(name for r in records for name in (*r.scalars, *r.options))])
    help = [did_you_mean(key, known), "`lab show recipe RUN/recipe.toml` lists the options of a run"]
    return UserError(f"no run has '{key}'", help=filter(None, help))


def _sorted(rows: list[Row], key: str, reverse: bool) -> list[Row]:
    """By a fact, a scalar or an option; runs that have none of it last."""
    if not key:
        return rows[::-1] if reverse else rows
    values = [(_value(row, key), row) for row in rows]
    having = [(value, row) for value, row in values if value is not None]
    if not having and rows:
        raise _unknown(key, rows)
    number = all(isinstance(value, (int, float)) for value, _ in having)
    ordered = sorted(having, key=lambda pair: pair[0] if number else str(pair[0]), reverse=reverse)
    return [row for _, row in ordered] + [row for value, row in values if value is None]


# On paper ----------------------------------------------------------------------------------------------


def _print(rows: Sequence[Row]) -> None:
    """A table, without the columns that have nothing in them."""
    columns = (
        "run",
        "started",
        "minutes",
        "method",
        "changed",
        "status",
        "step",
        "results",
        "size",
        "tags",
        "note",
    )
    cells = [_cells(row) for row in rows]
    kept = [i for i in range(len(columns)) if any(line[i] for line in cells)]
    print_table([columns[i] for i in kept], [[line[i] for i in kept] for line in cells])


def _cells(row: Row) -> list[str]:
    facts = row.facts()
    if row.record is None:
        return [facts["run"], "", "", "", "", row.status, "", row.error, "", "", ""]
    minutes = "" if facts["seconds"] is None else f"{facts['seconds'] / 60:.1f}"
    progress = "" if facts["steps"] is None else f"{facts['step']} of {facts['steps']}"
    results = ", ".join(f"{name} {value:.2f}" for name, value in row.headline().items())
    oracle = " (oracle)" if results and facts["oracle"] else ""
    return [
        facts["run"],
        f"{row.record.started:%Y-%m-%d %H:%M}" if row.record.started else "",
        minutes,
        row.record.variant or facts["trainer"],
        words_of_changes(facts["changed"]),
        facts["status"],
        progress,
        results + oracle,
        size_in_words(facts["bytes"]),
        ", ".join(facts["tags"]),
        facts["note"],
    ]


def size_in_words(count: float) -> str:
    """'812 B', '1.4 MB': powers of 1,000."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {UNITS[unit]}"
