"""Runs that differ in nothing but the seed, as one; and what each of these groups is called."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluglab.comparison.changes import changes_of
from pluglab.comparison.scenarios import Data, data_of, words_of
from pluglab.records import Record, Say
from pluglab.storage.run_folder import RunFolder

SCENARIO, METHOD = (
    "scenario",
    "method",
)  # what an axis of a recipe may be called, and what a table is turned by


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ in nothing but the seed.

    `label` is its name among all groups, `method` that among those of its scenario. `changed` holds the
    options that are not the same in all groups, by their dotted keys; None stands for one that it has not.
    """

    records: tuple[Record, ...]
    label: str
    method: str
    scenario: str
    changed: Mapping[str, Any]
    data: Data = field(repr=False)

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def oracle(self) -> bool:
        """Whether its checkpoints were picked by labels that are hidden from the trainer."""
        return self.first.oracle

    def sees(self, roles: Collection[str]) -> bool:
        """Whether it was trained with the labels of one of these roles."""
        first = self.first
        return any(role in roles and role not in first.unlabeled for role in first.trained_on)

    def marked(self, name: str) -> str:
        """A name of it, with the mark of what was picked by hidden labels."""
        return f"{name} (oracle)" if self.oracle else name

    def value(self, key: str) -> str:
        """What a table may be turned by: 'method', 'scenario', 'variant', 'title', an axis of the recipe's
        matrix, or the dotted key of an option; of a component its name."""
        first = self.first
        named = {METHOD: self.method, SCENARIO: self.scenario, "variant": first.variant, "title": first.title}
        known = {**first.options, **first.axes, **named}
        return words(known.get(key, known.get(f"{key}.name")))


def groups_of(records: Iterable[Record], say: Say) -> list[Group]:
    """The groups in the order in which they come. Of two runs that are alike, seed and all, the newer one
    counts, which is told by `say`."""
    found: dict[str, dict[int, Record]] = {}
    for record in records:
        seeds = found.setdefault(_key(record), {})
        before = seeds.get(record.seed)
        if before is not None:
            older, newer = sorted((before, record), key=_age)
            say(f"left out: {older.path}, which {newer.path} repeats")
            seeds[record.seed] = newer
        else:
            seeds[record.seed] = record
    return _named([tuple(seeds[seed] for seed in sorted(seeds)) for seeds in found.values()])


def _key(record: Record) -> str:
    """What runs have in common that may be averaged: their variant, all that the training depends on but the
    seed, and what picked the step that is reported."""
    select = sorted(record.recipe.get("select", {}).items())
    return json.dumps([record.variant, record.state.get("settings"), select, record.oracle], default=str)


def _age(record: Record) -> tuple[bool, float]:
    """Later for runs with results, and for those that were written later."""
    file = RunFolder(record.path).results_file
    return bool(record.results), file.stat().st_mtime if file.is_file() else 0.0


# Names -----------------------------------------------------------------------------------------------


def _named(groups: Sequence[tuple[Record, ...]]) -> list[Group]:
    data = data_of([record for group in groups for record in group])
    of_group = [data[group[0]] for group in groups]
    scenarios = _scenarios(groups, of_group)
    methods = _told_apart(groups, [_method(group[0]) for group in groups], scenarios)
    plain = [group[0].variant or group[0].title for group in groups]
    long = [f"{scenario}, {method}" for scenario, method in zip(scenarios, methods, strict=True)]
    labels = plain if len(set(plain)) == len(plain) else methods
    labels = labels if len(set(labels)) == len(labels) else long
    changed = changes_of([group[0].recipe for group in groups]) if groups else []
    return [
        Group(*parts) for parts in zip(groups, labels, methods, scenarios, changed, of_group, strict=True)
    ]


def _scenarios(groups: Sequence[tuple[Record, ...]], data: Sequence[Data]) -> list[str]:
    """The name of each group's scenario: what its recipe calls it, or else its data sets.

    A group whose recipe does not call it anything has the name of others with the same data. No two unlike
    data have one name.
    """
    known: list[tuple[Data, str, str]] = []  # data, what the recipe says, name
    pairs = [(group[0].axes.get(SCENARIO, ""), own) for group, own in zip(groups, data, strict=True)]
    order = sorted(range(len(groups)), key=lambda i: (not pairs[i][0], -len(groups[i][0].trained_on)))
    for axis, own in (pairs[i] for i in order):
        if _known_as(axis, own, known) is None:
            taken = [name for _, _, name in known]
            name = words_of(own) if not axis else axis if axis not in taken else f"{axis}, {words_of(own)}"
            known.append((own, axis, _free(name, taken)))
    return [_known_as(axis, own, known) or "" for axis, own in pairs]


def _known_as(axis: str, own: Data, known: Sequence[tuple[Data, str, str]]) -> str | None:
    fitting = (name for other, said, name in known if other == own and axis in ("", said))
    return next(fitting, None)


def _free(name: str, taken: Sequence[str]) -> str:
    number = next(n for n in range(1, len(taken) + 2) if (f"{name} ({n})" if n > 1 else name) not in taken)
    return f"{name} ({number})" if number > 1 else name


def _method(record: Record) -> str:
    """What a run is besides its scenario: in the words of its axes, or else its variant."""
    axes = {axis: name for axis, name in record.axes.items() if axis != SCENARIO}
    return ", ".join(axes.values()) or record.variant or record.title


def _told_apart(
    groups: Sequence[tuple[Record, ...]], names: Sequence[str], scenarios: Sequence[str]
) -> list[str]:
    """The names, with what differs where several groups of one scenario have the same."""
    named = list(names)
    for place in dict.fromkeys(zip(scenarios, names, strict=True)):
        alike = [i for i, other in enumerate(zip(scenarios, names, strict=True)) if other == place]
        if len(alike) > 1:
            for i, suffix in zip(alike, _suffixes([groups[i][0] for i in alike]), strict=True):
                named[i] = f"{names[i]} ({suffix})"
    return named


def _suffixes(records: Sequence[Record]) -> list[str]:
    """What tells runs of one name apart: the options that differ, else titles, else numbers."""
    changes = changes_of([record.recipe for record in records])
    marks = ["oracle" if record.oracle else "" for record in records]
    options = [words_of_changes(changed) for changed in changes]
    titles = [record.title for record in records]
    for tries in (options, titles, [f"{o}, {t}" for o, t in zip(options, titles, strict=True)]):
        if len(set(tries)) == len(tries) and all(tries):
            return tries
    return [", ".join(filter(None, [options[i], marks[i], str(i + 1)])) for i in range(len(records))]


def words_of_changes(changed: Mapping[str, Any]) -> str:
    """'lr 0.01, steps 300': each key by its last part, or as much of it as tells it from the others."""
    short = [key.rpartition(".")[2] for key in changed]
    names = (
        key if short.count(last) > 1 or last.isdigit() else last
        for key, last in zip(changed, short, strict=True)
    )
    return ", ".join(
        f"no {name}" if value is None else f"{name} {words(value)}"
        for name, value in zip(names, changed.values(), strict=True)
    )


def words(value: Any) -> str:
    """A value of a recipe as a person writes it; empty for none."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return " + ".join(map(words, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
