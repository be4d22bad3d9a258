"""Learning curves: what was logged and what was evaluated, against steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from matplotlib.ticker import EngFormatter
from pydantic import Field

from pluglab.components import Options
from pluglab.evaluating import RoleData
from pluglab.protocols import Evaluation, EvaluationContext, Figure
from pluglab_metrics.figures import COLORS, label, new_figure, places, render

Points = list[tuple[int, float]]
LINES = ("-", "--", "-.", ":")
UNITS = {
    "loss": "loss",
    "training": "mean since the last log",
    "lr": "learning rate",
    "accuracy": "accuracy (%)",
}


class LearningCurves:
    """One picture, a panel for each group of scalars: `loss/class` and `loss/domain` share `loss`.

    What a trainer logs under a name without a group is in the panel `training`; learning rates (`lr`) and
    scores without a group have one of their own. What was looked at only once makes no curve.
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
        panels = grouped(context.history)
        if not panels:
            return Evaluation()
        caption = f"What was logged and evaluated in {context.step:,} steps: {', '.join(panels)}"
        points = {
            group: {
                name: {"step": [s for s, _ in p], "value": [v for _, v in p]} for name, p in series.items()
            }
            for group, series in panels.items()
        }
        sets = {role: splits["train"].dataset for role, splits in data.items()}
        return Evaluation(
            figures={"panels": Figure(_draw(panels, sets, self.config.columns), caption, points)}
        )


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


def _draw(
    panels: Mapping[str, Mapping[str, Points]], datasets: Mapping[str, str], columns: int
) -> np.ndarray:
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(max(6.5, 4.2 * columns), 3.4 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (group, series) in zip(grid, panels.items(), strict=False):
        _panel(axes, group, series, datasets)
    for axes in grid[len(panels) :]:
        axes.remove()
    return render(figure)


def _panel(axes: Any, group: str, series: Mapping[str, Points], datasets: Mapping[str, str]) -> None:
    for i, (name, points) in zip(places(list(series)), series.items(), strict=True):
        steps, values = zip(*sorted(points), strict=True)
        look = {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i // len(COLORS) % len(LINES)]}
        words = f"{name}: {datasets[name]}" if name in datasets else name
        axes.plot(
            steps, values, label=label(words), marker="o" if len(points) < 25 else None, markersize=3, **look
        )
    axes.set_title(label(group), fontsize=11)
    axes.set_xlabel("step")
    axes.set_ylabel(label(UNITS.get(group, group)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    if len(series) > 1 or group not in series:
        axes.legend(fontsize=8, framealpha=0.7)
