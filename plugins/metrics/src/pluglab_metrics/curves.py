"""Learning curves: what was logged and what was evaluated, against steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from pluglab.components import Options
from pluglab.evaluating import RoleData
from pluglab.protocols import Evaluation, EvaluationContext
from pluglab_plots import picture

Points = list[tuple[int, float]]
Panels = Mapping[str, Mapping[str, Points]]
UNLIKE = 10  # times as large: too much for one axis
UNITS = {
    "loss": "loss",
    "training": "mean since the last log",
    "lr": "learning rate",
    "gradient_norm": "norm of the gradient",
    "accuracy": "accuracy (%)",
}


class LearningCurves:
    """One picture, a panel for each group of scalars: `loss/class` and `loss/domain` share `loss`.

    What a trainer logs under a name without a group is in the panel `training`; learning rates (`lr`) and
    scores without a group have one of their own. Scores of an evaluator share a panel where they are of
    several roles, and have one each where they are several quantities; what is logged and ten times as large
    as the rest of its group has one, too. What was looked at only once makes no curve.
    """

    class Config(Options):
        columns: int = Field(3, ge=1)
        """Panels a row."""

    needs: ClassVar[tuple[type, ...]] = ()

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: object, data: RoleData) -> Mapping[str, Collection[str]]:
        """No scalars, so it may see all that there are."""
        return {}

    def evaluate(self, trainer: object, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figure `panels`; none before anything has been logged."""
        panels = apart(grouped(context.history), data)
        if not panels:
            return Evaluation()
        sets = {role: splits["train"].dataset for role, splits in data.items()}
        caption = f"What was logged and evaluated in {context.step:,} steps: {', '.join(panels)}"
        return Evaluation(figures={"panels": picture(plotted(panels, sets, self.config.columns), caption)})


def plotted(panels: Panels, datasets: Mapping[str, str], columns: int) -> dict[str, Any]:
    """The data of a plot of kind 'curves'; `datasets`: that of each role."""
    return {
        "plot": "curves",
        "panels": {
            group: {name: _columns(points) for name, points in series.items()}
            for group, series in panels.items()
        },
        "groups": {panel: group_of(panel) for panel in panels},
        "units": {panel: UNITS.get(group_of(panel), panel.rpartition(": ")[2]) for panel in panels},
        "words": {role: f"{role}: {dataset}" for role, dataset in datasets.items()},
        "columns": columns,
    }


def _columns(points: Points) -> dict[str, list[float]]:
    ordered = sorted(points)
    return {"step": [step for step, _ in ordered], "value": [value for _, value in ordered]}


def grouped(history: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Points]]:
    """Points (step, value) by group and name; losses first, the other groups in order of appearance.

    Speed is left out: it says nothing about learning.
    """
    panels: dict[str, dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    for record in history:
        logged = record.get("type") == "step"
        for key, value in record.get("scalars", {}).items():
            group, name = _split(key, "training" if logged else key)
            if value is not None:
                panels[group][name].append((int(record["step"]), float(value)))
    panels.pop("speed", None)
    curves = {group: series for group, series in panels.items() if any(len(p) > 1 for p in series.values())}
    return dict(sorted((curves or panels).items(), key=lambda item: item[0] not in ("loss", "training")))


def _split(key: str, default: str) -> tuple[str, str]:
    """Group and name; the group is `default` where the key names none."""
    group, _, name = key.partition("/")
    if name:
        return group, name
    return ("lr", "lr") if key == "lr" else (default, key)


def group_of(panel: str) -> str:
    """The group that a panel is of, whole or in part: 'training' of 'training: accuracy'."""
    return panel.partition(": ")[0]


def apart(panels: Panels, roles: Collection[str]) -> dict[str, Mapping[str, Points]]:
    """The panels, without any of unlike scales: a group of several quantities is one panel each.

    Losses stay together: they are weighed against each other.
    """
    found: dict[str, Mapping[str, Points]] = {}
    for group, series in panels.items():
        for part in _parts(group, series, roles):
            whole = len(part) == len(series)
            found[group if whole else f"{group}: {', '.join(part)}"] = part
    return found


def _parts(
    group: str, series: Mapping[str, Points], roles: Collection[str]
) -> Iterator[Mapping[str, Points]]:
    if group in ("loss", "lr") or all(name.partition("/")[0] in roles for name in series):
        yield series
    elif group == "training":
        yield from _of_like_size(series)
    else:
        yield from ({name: points} for name, points in series.items())


def _of_like_size(series: Mapping[str, Points]) -> Iterator[dict[str, Points]]:
    """Parts whose largest values are within a factor of ten, in order of appearance."""
    sizes = {name: max(abs(value) for _, value in points) for name, points in series.items()}
    levels: list[list[str]] = []
    for name in sorted(sizes, key=lambda name: sizes[name]):
        if not levels or sizes[name] > UNLIKE * sizes[levels[-1][0]]:
            levels.append([])
        levels[-1].append(name)
    of = {name: number for number, level in enumerate(levels) for name in level}
    for number in dict.fromkeys(of[name] for name in series):
        yield {name: points for name, points in series.items() if of[name] == number}
