"""The engine of a run: its recipe and data, told to its observers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pluglab.engine.engine import Engine
from pluglab.engine.notices import Notices
from pluglab.experiments.experiment import Experiment
from pluglab.experiments.session import Session


def new_engine(experiment: Experiment, index: int, session: Session, observers: Sequence[Any] = ()) -> Engine:
    """The engine of a run, at its first step."""
    item, info = experiment.prepared[index], experiment.info(index)
    fabric = session.launch(item.recipe.options.run)
    notices = Notices(info, session.plugins, observers, active=fabric.is_global_zero)
    identity = experiment.runs[index].read()["identity"]
    engine = Engine(
        item.recipe,
        item.data,
        fabric,
        info,
        promises=item.promises,
        identity=identity,
        notices=notices,
        start=item.start,
    )
    notices.info = replace(info, now=lambda: engine.step)
    return engine
