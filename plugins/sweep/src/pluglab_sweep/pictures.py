"""Pictures of a sweep, from its summary: history, importance, what each parameter does, the front of several
objectives, and the scores of all trials as they trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab.style import UNKNOWN, look
from pluglab_plots.canvas import label, new_plot, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

    from pluglab_sweep.summary import Summary

CAPTIONS = {
    "sweep_history": "Every trial that finished, and the best so far.",
    "sweep_importance": "Share of each parameter in the variance of the score, by fANOVA: "
    "rough after few trials.",
    "sweep_parameters": "The score of every trial that finished, against each parameter.",
    "sweep_front": "Trials by their objectives. Marked are those that no other is better than in everything.",
    "sweep_looks": "The score during the training of every trial; pruned trials end early.",
}
WIDTH, HEIGHT = 6.4, 3.6
ACROSS = 3  # panels in a row
FAR = 30.0
"""A range of scores that reaches over so many times the middle half's is drawn on a logarithmic axis."""


def write_pictures(summary: Summary, folder: Path) -> list[Path]:
    """Those that there is something to show of."""
    with styled():
        drawn = {name: plot for name, plot in _plots(summary) if plot is not None}
        return [save(plot, folder / f"{name}.png") for name, plot in drawn.items()]


def _plots(summary: Summary) -> Iterator[tuple[str, Plot | None]]:
    yield "sweep_history", _history(summary)
    yield "sweep_importance", _importance(summary)
    yield "sweep_parameters", _parameters(summary)
    yield "sweep_front", _front(summary)
    yield "sweep_looks", _looks(summary)


def _finished(summary: Summary) -> list[dict[str, Any]]:
    return [trial for trial in summary["trials"] if trial["values"] is not None]


def _history(summary: Summary) -> Plot | None:
    trials, objectives = _finished(summary), summary["objectives"]
    if not trials:
        return None
    figure = new_plot(WIDTH, HEIGHT * len(objectives))
    for place, objective in enumerate(objectives):
        axes: Any = figure.add_subplot(len(objectives), 1, place + 1)
        numbers = [trial["number"] for trial in trials]
        values = [trial["values"][place] for trial in trials]
        axes.plot(numbers, values, "o", color=look(0).color, markersize=5, label="trial")
        axes.step(
            numbers, _best(values, objective["mode"]), where="post", color=look(1).color, label="best so far"
        )
        _of_scores(axes, values, objective)
        axes.set_xlabel("trial")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return figure


def _best(values: Sequence[float], mode: str) -> list[float]:
    pick = max if mode == "max" else min
    return [pick(values[: end + 1]) for end in range(len(values))]


def _of_scores(axes: Any, values: Sequence[float], objective: Mapping[str, str]) -> None:
    """The axis of a score, logarithmic where a few bad trials would squeeze the others."""
    if _is_wide(values):
        axes.set_yscale("log")
    better = "more" if objective["mode"] == "max" else "less"
    axes.set_ylabel(label(f"{objective['metric']} ({better} is better)"))
    axes.grid(True, axis="y")


def _is_wide(values: Sequence[float]) -> bool:
    """Whether some values are far from the others, and all above zero."""
    ordered = sorted(values)
    count = len(ordered)
    if count < 4 or ordered[0] <= 0:
        return False
    middle = ordered[3 * count // 4] - ordered[count // 4]
    return ordered[-1] - ordered[0] > FAR * max(middle, 1e-12)


def _importance(summary: Summary) -> Plot | None:
    found = [
        (one, objective)
        for one, objective in zip(summary["importance"], summary["objectives"], strict=True)
        if one
    ]
    if not found:
        return None
    keys = list(found[0][0])
    figure = new_plot(WIDTH, 0.9 + 0.32 * len(keys) * len(found))
    axes: Any = figure.add_subplot()
    height = 0.8 / len(found)
    for place, (shares, objective) in enumerate(found):
        where = [row + place * height for row in range(len(keys))]
        bars = axes.barh(
            where, [100 * shares.get(key, 0.0) for key in keys], height * 0.9,
            color=look(place).color, label=label(objective["metric"]),
        )  # fmt: skip
        axes.bar_label(bars, fmt="%.0f %%", padding=3)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(keys))], [label(key) for key in keys])
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xlabel("share of the variance in percent")
    if len(found) > 1:
        axes.legend(loc="lower right")
    return figure


def _parameters(summary: Summary) -> Plot | None:
    trials, keys = _finished(summary), list(summary["parameters"])
    if len(trials) < 2:
        return None
    across = min(ACROSS, len(keys))
    down = -(-len(keys) // across)
    figure = new_plot(3.2 * across, 2.9 * down)
    for place, key in enumerate(keys):
        axes: Any = figure.add_subplot(down, across, place + 1)
        _panel(axes, summary, trials, key, leftmost=place % across == 0)
    return figure


def _panel(
    axes: Any, summary: Summary, trials: Sequence[Mapping[str, Any]], key: str, *, leftmost: bool
) -> None:
    """Scores of the first objective against one parameter; the best trial is marked."""
    about = summary["parameters"][key]
    values = [trial["values"][0] for trial in trials]
    given = [trial["params"].get(key) for trial in trials]
    if about["numbers"]:
        places: list[Any] = given
        if about["log"]:
            axes.set_xscale("log")
    else:
        names = list(dict.fromkeys(map(str, given)))
        places = [names.index(str(one)) for one in given]
        axes.set_xticks(range(len(names)), [label(name) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    axes.plot(places, values, "o", color=look(0).color, markersize=5, alpha=0.8)
    best = [i for i, trial in enumerate(trials) if trial["number"] in summary["best"]]
    axes.plot(
        [places[i] for i in best], [values[i] for i in best], "o", markersize=11, markerfacecolor="none",
        color=look(1).color,
    )  # fmt: skip
    _of_scores(axes, values, summary["objectives"][0])
    axes.set_xlabel(label(key))
    if not leftmost:
        axes.set_ylabel("")


def _front(summary: Summary) -> Plot | None:
    trials, objectives = _finished(summary), summary["objectives"]
    if len(objectives) < 2 or not trials:
        return None
    figure = new_plot(WIDTH, HEIGHT)
    axes: Any = figure.add_subplot()
    for best, color, name in ((False, UNKNOWN, "trial"), (True, look(1).color, "on the front")):
        chosen = [trial for trial in trials if (trial["number"] in summary["best"]) is best]
        points = [trial["values"][:2] for trial in chosen]
        axes.plot([x for x, _ in points], [y for _, y in points], "o", color=color, label=name)
        for trial, (x, y) in zip(chosen, points, strict=True):
            axes.annotate(str(trial["number"]), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    _of_scores(axes, [trial["values"][1] for trial in trials], objectives[1])
    better = "more" if objectives[0]["mode"] == "max" else "less"
    axes.set_xlabel(label(f"{objectives[0]['metric']} ({better} is better)"))
    axes.grid(True)
    axes.legend()
    return figure


def _looks(summary: Summary) -> Plot | None:
    trials = [trial for trial in summary["trials"] if trial["looks"]]
    if not trials:
        return None
    figure = new_plot(WIDTH, HEIGHT)
    axes: Any = figure.add_subplot()
    told: set[str] = set()
    for trial in trials:
        kind = (
            "pruned"
            if trial["state"] == "pruned"
            else "best"
            if trial["number"] in summary["best"]
            else "other"
        )
        color = {"pruned": UNKNOWN, "best": look(1).color, "other": look(0).color}[kind]
        steps, values = zip(*trial["looks"], strict=True)
        axes.plot(
            steps, values, "o-" if len(steps) == 1 or kind == "pruned" else "-", markersize=3, color=color,
            linewidth=2.4 if kind == "best" else 1.2, zorder=3 if kind == "best" else 2,
            label=kind if kind not in told else None,
        )  # fmt: skip
        told.add(kind)
    _of_scores(axes, [value for trial in trials for _, value in trial["looks"]], summary["objectives"][0])
    axes.set_xlabel("step")
    axes.legend()
    return figure
