"""The study of Optuna behind a sweep: where it is kept, what searches, what prunes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pluglab import Component, UserError, derived_seed
from pluglab_sweep.space import Parameter, Range

if TYPE_CHECKING:
    import optuna

    from pluglab_sweep.options import Objective, Sweep

FILE = "sweep.db"
DEFAULT_TRIALS = 20
LARGEST_GRID = 100_000
WHOLE = "grid", "brute_force"  # samplers that come to an end by themselves
STEADY = (*WHOLE, "qmc")  # samplers whose seed is to stay, as their values follow a plan that it makes
TRIES = 5  # to open a storage whose tables are being made
WAIT = 60  # seconds that a process waits for another one's write to SQLite
Direction = Literal["maximize", "minimize"]
DIRECTIONS: dict[str, Direction] = {"max": "maximize", "min": "minimize"}


def url_of(storage: str, folder: Path) -> str:
    """The storage of a sweep in `folder`."""
    return storage or f"sqlite:///{folder.resolve() / FILE}"


def storage_of(url: str) -> optuna.storages.BaseStorage:
    """Raises `UserError` for a storage that cannot be reached."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _opened(url)
    except ImportError as error:
        help = ['pip install "pluglab-sweep[postgresql]", and begin the URL with postgresql+psycopg://']
        raise UserError(f"the storage needs a driver: {error}", help=help) from error
    except (SQLAlchemyError, ValueError) as error:
        what = str(error).partition("\n")[0]
        help = ["give a URL such as postgresql+psycopg://user@host/database"]
        raise UserError(f"the storage {url} cannot be reached: {what}", help=help) from error


def _opened(url: str) -> optuna.storages.BaseStorage:
    import optuna
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    options = {"connect_args": {"timeout": WAIT}} if url.startswith("sqlite") else {}
    for _ in range(TRIES):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
        except (IntegrityError, ProgrammingError):  # another process is making the tables
            time.sleep(1)
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def open_study(sweep: Sweep, objectives: list[Objective], folder: Path, title: str) -> optuna.Study:
    """The study of a sweep, made if there is none. Raises `UserError` for another one of its name."""
    import optuna

    storage, name = storage_of(url_of(sweep.config.storage, folder)), sweep.config.study or title
    directions = [DIRECTIONS[one.mode] for one in objectives]
    study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True, pruner=pruner_of(sweep)
    )
    about = {
        "objectives": [[one.metric, one.mode] for one in objectives],
        "parameters": {key: one.words() for key, one in sweep.parameters.items()},
    }
    known = study.user_attrs.get("sweep")
    if known is None:
        study.set_user_attr("sweep", about)
    elif known != about:
        help = ['give it a name of its own: study = "..." in [sweep]']
        raise UserError(f"the study '{name}' has other parameters or objectives", help=help)
    study.sampler = sampler_of(sweep, len(study.get_trials(deepcopy=False)))
    return study


def sampler_of(sweep: Sweep, done: int) -> optuna.samplers.BaseSampler:
    """What searches, after so many trials are `done`: it does not draw their values again, nor those that
    other machines draw at the same time."""
    component = sweep.config.sampler
    if getattr(component.config, "seed", 0) is None:
        elsewhere = [f"{socket.gethostname()} {os.getpid()}"] if sweep.config.storage else []
        steady = component.name in STEADY or not (done or elsewhere)
        seed = sweep.config.seed if steady else derived_seed("sweep", sweep.config.seed, done, *elsewhere)
        component = _with(component, seed=seed % 2**32)
    sampler: optuna.samplers.BaseSampler = component.build(space_of(sweep.parameters))
    return sampler


def pruner_of(sweep: Sweep) -> optuna.pruners.BasePruner:
    import optuna

    pruner: optuna.pruners.BasePruner
    pruner = sweep.config.pruner.build() if sweep.config.pruner else optuna.pruners.NopPruner()
    return pruner


def space_of(parameters: Mapping[str, Parameter]) -> dict[str, list[Any]]:
    """The values of each parameter that can be counted."""
    found = {key: _counted(one) for key, one in parameters.items()}
    return {key: values for key, values in found.items() if values}


def _counted(one: Parameter) -> list[Any]:
    count = (one.high - one.low) / (one.step or 1) if isinstance(one, Range) else 0
    return one.all() if count < LARGEST_GRID else []


def size_of(sweep: Sweep) -> int:
    """How many trials there are to be."""
    whole = prod(map(len, space_of(sweep.parameters).values())) if sweep.config.sampler.name in WHOLE else 0
    return min(filter(None, [whole, sweep.config.trials])) if whole else sweep.config.trials or DEFAULT_TRIALS


def uncounted(sweep: Sweep) -> list[str]:
    """The parameters that a grid has no values of."""
    known = space_of(sweep.parameters)
    return [key for key in sweep.parameters if key not in known] if sweep.config.sampler.name in WHOLE else []


def _with(component: Component, **options: Any) -> Component:
    return replace(component, config=component.config.model_copy(update=options))
