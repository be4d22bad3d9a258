"""All groups of some runs, with the scores that may stand beside one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pluglab.comparison.groups import Group, groups_of
from pluglab.comparison.scenarios import agree, roles_behind
from pluglab.comparison.scores import Column, Difference, Scores, columns_of, difference, notes_on, scores_of
from pluglab.errors import UserError, did_you_mean
from pluglab.records import Record, Say


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and the columns of their table: a scalar under one protocol each."""

    groups: tuple[Group, ...]
    columns: tuple[Column, ...]

    @cached_property
    def scenarios(self) -> list[str]:
        """On which data the groups were trained and measured, in their order."""
        return list(dict.fromkeys(group.scenario for group in self.groups))

    @property
    def notes(self) -> list[str]:
        """A line for each of several columns of one scalar: in what its protocol differs."""
        return notes_on(self.columns)

    def groups_in(self, scenario: str) -> list[Group]:
        """The groups of a scenario; after them those of others that have a score of a role whose labels are
        hidden here.

        So a model that was trained on the target alone stands in every scenario with that target. No method
        is there twice.
        """
        own = [group for group in self.groups if group.scenario == scenario]
        hidden = {role for group in own for role in group.first.unlabeled}
        columns = [column for column in self.columns if column.scalar.rpartition("/")[2] in hidden]
        found = {group.method: group for group in own}
        for group in self.groups:
            if any(self.scores(group, column, scenario) is not None for column in columns):
                found.setdefault(group.method, group)
        return list(found.values())

    def scores(self, group: Group, column: Column, scenario: str | None = None) -> Scores | None:
        """What the group reached; None where no run has the score, or where it is of another scenario."""
        if scenario is not None and not self._belongs(group, column, scenario):
            return None
        return scores_of(group.records, column)

    def _belongs(self, group: Group, column: Column, scenario: str) -> bool:
        if group.scenario == scenario:
            return True
        data = next(other.data for other in self.groups if other.scenario == scenario)
        return agree(group.data, data, roles_behind(column.scalar, group.first))

    def best(self, column: Column, scenario: str, among: Collection[Group] | None = None) -> set[Group]:
        """The groups with the best mean, where it is known whether more or less is better, and there are
        several to choose from. Those that saw labels which are hidden from others do not take part: they were
        picked by them, or trained with them, as an upper bound is."""
        groups = self.groups_in(scenario) if among is None else among
        hidden = {role for group in groups for role in group.first.unlabeled}
        fair = [group for group in groups if not group.oracle and not group.sees(hidden)]
        found = {group: self.scores(group, column, scenario) for group in fair}
        means = {group: scores.mean for group, scores in found.items() if scores is not None}
        if not column.better or len(means) < 2:
            return set()
        best = max(means.values()) if column.better == "max" else min(means.values())
        return {group for group, mean in means.items() if mean == best}

    def difference(
        self, group: Group, other: Group, column: Column, scenario: str | None = None
    ) -> Difference | None:
        """How much higher the first one's score is, over the seeds that both have. Imports scipy."""
        one, two = self.scores(group, column, scenario), self.scores(other, column, scenario)
        return None if one is None or two is None else difference(one, two, column.better)

    def find(self, name: str) -> list[Group]:
        """The groups of that label or method. Raises `UserError` where there is none."""
        found = [group for group in self.groups if name in (group.label, group.method)]
        if not found:
            known = list(dict.fromkeys(group.method for group in self.groups))
            help = filter(None, [did_you_mean(name, known), f"there are: {'; '.join(known)}"])
            raise UserError(f"no row is called '{name}'", help=help)
        return found

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, numbers as numbers."""
        rows = [
            self._row(group, scenario) for scenario in self.scenarios for group in self.groups_in(scenario)
        ]
        return {"columns": [_column(column) for column in self.columns], "rows": rows, "notes": self.notes}

    def _row(self, group: Group, scenario: str) -> dict[str, Any]:
        scores = {column.title: self.scores(group, column, scenario) for column in self.columns}
        return {
            "label": group.marked(group.label),
            "scenario": scenario,
            "method": group.method,
            "changed": dict(group.changed),
            "oracle": group.oracle,
            "runs": [str(record.path) for record in group.records],
            "scores": {title: found.to_dict() for title, found in scores.items() if found is not None},
        }


def _column(column: Column) -> dict[str, Any]:
    facts: Mapping[str, Any] = {
        "title": column.title,
        "scalar": column.scalar,
        "better": column.better,
    }
    return {**facts, "protocol": dict(column.settings)}


def compare(records: Sequence[Record], say: Say, scalars: Sequence[str] = ()) -> Comparison:
    """Compare runs, by `scalars` or else by those that belong in a table of theirs.

    Runs that have no results are in it, too, without scores. What is left out is told by `say`. Raises
    `UserError` for a scalar that no run has.
    """
    groups = groups_of(records, say)
    kept = [record for group in groups for record in group.records]
    known = sorted({name for record in kept for name in record.scalars})
    for name in scalars:
        if name not in known:
            help = filter(None, [did_you_mean(name, known), f"known: {', '.join(known)}"])
            raise UserError(f"no run has the scalar '{name}'", help=help)
    return Comparison(tuple(groups), tuple(columns_of(kept, scalars)))
