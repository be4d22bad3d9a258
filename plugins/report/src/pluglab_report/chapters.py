"""What a report is about: runs of one family, read from their folders and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab import UserError
from pluglab.comparison import Comparison, Group, compare
from pluglab.records import FigureFile, Record, read_records
from pluglab.style import colors_of
from pluglab_report.layouts import Layout, layout_for

if TYPE_CHECKING:
    from pluglab.plugins.registry import Registry

Say = Callable[[str], None]


@dataclass(frozen=True)
class Shown:
    """A picture of a group: `evaluator` is the component's name, `name` what it calls the picture."""

    group: Group
    file: FigureFile
    evaluator: str
    name: str

    def fits(self, patterns: Iterable[str]) -> bool:
        """Whether one of the patterns names its evaluator, or the evaluator and itself."""
        names = self.evaluator, f"{self.evaluator}/{self.name}"
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


@dataclass(frozen=True, eq=False)
class Chapter:
    """Runs that are told of together, by one layout. `rows` and `columns` turn the table of results.

    A group holds the runs that differ in nothing but the seed; its pictures are those of the first of them
    that has come to its end.
    """

    layout: Layout
    comparison: Comparison
    registry: Registry
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    shown_elsewhere: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        return self.comparison.groups

    @property
    def records(self) -> list[Record]:
        return [record for group in self.groups for record in group.records]

    @property
    def title(self) -> str:
        """What the recipes are called."""
        return ", ".join(dict.fromkeys(record.title for record in self.records))

    @cached_property
    def names(self) -> dict[Group, str]:
        """What each group is called among all of the chapter; no two alike."""
        labels = [group.label for group in self.groups]
        if len(set(labels)) == len(labels):
            return dict(zip(self.groups, labels, strict=True))
        return {group: f"{group.label} ({place})" for place, group in enumerate(self.groups, 1)}

    @cached_property
    def methods(self) -> dict[Group, str]:
        """What each group is called among those of its scenario."""
        return {group: group.method for group in self.groups} if len(self.scenarios) > 1 else self.names

    @cached_property
    def colors(self) -> dict[Group, str]:
        """One color a method, in every scenario, table and picture."""
        found = colors_of(self.methods.values())
        return {group: found[name] for group, name in self.methods.items()}

    @property
    def several(self) -> bool:
        """Whether there is more than one group: then names say something."""
        return len(self.groups) > 1

    @property
    def scenarios(self) -> list[str]:
        return self.comparison.scenarios

    def groups_of(self, scenario: str) -> list[Group]:
        return [group for group in self.groups if group.scenario == scenario]

    def pictures(self, *wanted: str, without: Sequence[str] = ()) -> dict[tuple[str, str, str], list[Shown]]:
        """The pictures of some evaluators: 'sample_grid', or parts: 'accuracy/confusion_*'.

        By scenario, label and name: what the groups drew under that name, in their order.
        """
        found: dict[tuple[str, str, str], list[Shown]] = {}
        for shown in self._all_pictures:
            if shown.fits(wanted) and not shown.fits(without):
                found.setdefault((shown.group.scenario, shown.file.evaluator, shown.name), []).append(shown)
        return found

    def other_pictures(self) -> dict[tuple[str, str, str], list[Shown]]:
        """Those that no section of the report shows."""
        return self.pictures("*", without=self.shown_elsewhere)

    @cached_property
    def _all_pictures(self) -> list[Shown]:
        return [shown for scenario in self.scenarios for shown in self._pictures_of(scenario)]

    def _pictures_of(self, scenario: str) -> Iterator[Shown]:
        for group in self.groups_of(scenario):
            record = first_told(group)
            evaluations = record.evaluations()
            for file in filter(partial(_is_picture, record), record.figures().values()):
                component = _innermost(evaluations[file.evaluator].get("evaluator")) or file.evaluator
                name = file.path.stem.removeprefix(f"{file.evaluator}_")
                yield Shown(group, file, component.rpartition("/")[2], name)


def first_told(group: Group) -> Record:
    """The run whose pictures stand for a group: the first that is finished, or else the first."""
    return next((record for record in group.records if record.results), group.first)


def read_chapters(
    folders: Sequence[Path],
    registry: Registry,
    say: Say,
    *,
    layout: str = "auto",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> list[Chapter]:
    """The runs below the folders by their family, a chapter each. `layout` 'auto' finds that of each run.

    Raises `UserError` where there is no run, and for a layout that there is not.
    """
    records = read_records(folders, say)
    if not records:
        help = ["give folders that `lab run` made, or folders that hold them"]
        raise UserError(f"there is no run in {', '.join(map(str, folders))}", help=help)
    families: dict[str, tuple[Layout, list[Record]]] = {}
    for record in records:
        found = layout_for(layout, family_of(record, registry))
        families.setdefault(found.name, (found, []))[1].append(record)
    return [
        Chapter(found, compare(own, say), registry, tuple(rows), tuple(columns))
        for found, own in families.values()
    ]


def family_of(record: Record, registry: Registry) -> str:
    """The plugin that a run's trainer comes from; empty where it is not installed."""
    name = component_name(record.recipe.get("trainer", ""))
    try:
        return registry.find("trainer", name).plugin
    except UserError:
        return ""


def component_name(value: Any) -> str:
    """'dann' of "dann" and of { name = "dann" }."""
    return str(value.get("name", "")) if isinstance(value, Mapping) else str(value)


def _innermost(evaluator: Any) -> str:
    """The name of an evaluator; of one that runs another under other options, that of the other."""
    while isinstance(evaluator, Mapping) and evaluator.get("evaluator"):
        evaluator = evaluator["evaluator"]
    return component_name(evaluator or "")


def _is_picture(record: Record, file: FigureFile) -> bool:
    own = all(is_inside(path, record.path) for path in (file.path, file.data) if path is not None)
    return own and file.path.suffix in (".png", ".gif")


def plot_data(file: FigureFile) -> Mapping[str, Any] | None:
    """What a plot can be drawn from again; None for another picture."""
    from pluglab_plots import can_redraw

    data = read_json(file.data) if file.data is not None else None
    return data if can_redraw(data) else None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object of a run's folder; None where there is none, or no sound one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a file that a run names is its own: no link and no '..' leads to files of others."""
    return path.resolve().is_relative_to(folder.resolve())
