"""Learning curves of all variants in one plot a quantity, with bands over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluglab.comparison import Group
from pluglab.records import Record
from pluglab.style import places_of
from pluglab_plots import overlaid
from pluglab_report.blocks import Block, Heading, Picture, Pictures
from pluglab_report.chapters import Chapter
from pluglab_report.words import slug

LEFT_OUT = "speed"
CAPTIONS = {"loss": "Losses", "training": "What was measured in training", "lr": "Learning rates"}
BAND = " A line is the mean over seeds, its band reaches from the least to the greatest."
Panels = dict[str, dict[str, dict[str, list[float]]]]


class Curves:
    """From what each run logged, so that a run without the evaluator `learning_curves` has them, too."""

    title = "Learning curves"
    shows = ("learning_curves",)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        blocks: list[Block] = []
        for scenario in chapter.scenarios:
            found = list(_of_scenario(chapter, chapter.groups_of(scenario)))
            title = [Heading(scenario)] if found and len(chapter.scenarios) > 1 else []
            blocks += [*title, *found]
        return blocks


def _of_scenario(chapter: Chapter, groups: Sequence[Group]) -> Iterator[Block]:
    histories = {group: [_panels(record) for record in group.records] for group in groups}
    several = any(len(runs) > 1 for runs in histories.values())
    for kind in dict.fromkeys(kind for runs in histories.values() for run in runs for kind in run):
        what = CAPTIONS.get(kind, "Scores of the evaluations" if kind == "scores" else kind)
        yield Pictures(list(_pictures(chapter, histories, kind)), f"{what}.{BAND if several else ''}")


def _panels(record: Record) -> dict[str, Panels]:
    """'loss', 'training', ... and 'scores', each with its curves: group -> name -> steps and values."""
    found: dict[str, Panels] = {}
    for kind, event in _events(record):
        for name, value in event["scalars"].items():
            group, _, last = name.partition("/")
            if value is None or group == LEFT_OUT:
                continue
            panel = found.setdefault(kind or group, {}).setdefault(group, {})
            points = panel.setdefault(last or group, {"step": [], "value": []})
            points["step"].append(event["step"])
            points["value"].append(value)
    return {kind: _curves(panels) for kind, panels in found.items() if _curves(panels)}


def _events(record: Record) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for event in record.history():
        if event["type"] == "step":
            yield "", event
        elif event["type"] == "evaluation" and not event.get("afterwards"):
            yield "scores", event


def _curves(panels: Panels) -> Panels:
    """Without what was looked at only once."""
    kept = {
        group: {name: points for name, points in series.items() if len(points["step"]) > 1}
        for group, series in panels.items()
    }
    return {group: series for group, series in kept.items() if series}


def _pictures(
    chapter: Chapter, histories: Mapping[Group, Sequence[Mapping[str, Panels]]], kind: str
) -> Iterator[Picture]:
    """A picture a quantity."""
    runs = {
        chapter.methods[group]: [{"panels": run.get(kind, {})} for run in runs]
        for group, runs in histories.items()
    }
    data = {**overlaid(runs), "colors": places_of(chapter.methods.values())}
    scenario = f"{slug(next(iter(histories)).scenario)}_" if len(chapter.scenarios) > 1 else ""
    for quantity, series in data["panels"].items():
        name = f"{chapter.layout.name}_curves_{scenario}{slug(quantity)}"
        yield Picture(name, "", quantity, data={**data, "panels": {quantity: series}})
