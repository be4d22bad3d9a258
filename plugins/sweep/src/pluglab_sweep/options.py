"""The table `[sweep]` of a recipe.

[sweep]
trials = 20
objectives = [{ metric = "accuracy/target", mode = "max" }]

[sweep.parameters]
"trainer.optimizer.lr" = { low = 1e-4, high = 1e-2, log = true }
batch_size = [32, 64, 128]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pluglab import Component, Options, Reference, named
from pluglab_sweep.space import Parameter, parameter


class Objective(Options):
    """One score that counts."""

    metric: str
    """A scalar that an evaluator of the recipe reports, such as 'accuracy/target'."""
    mode: Literal["max", "min"] = "max"
    """Whether more or less of it is better."""


class Sweep:
    """What `lab sweep` varies, how it searches, and what counts."""

    class Config(Options):
        parameters: dict[str, Any]
        """What varies, by dotted keys of the recipe. "trainer.optimizer.lr" = { low = 1e-4, high = 1e-2,
        log = true }; a list of values; or a table of named ones, { choices = { small = {...}, ... } }."""
        objectives: list[Objective] = []
        """The scores that count: one, or several that are weighed against one another. By default what
        `[select]` names."""
        trials: int | None = Field(None, ge=1)
        """How many trials; by default 20, and of a grid all."""
        sampler: Annotated[Component, Reference("sweep_sampler")] = named("tpe")
        """What chooses the values of the next trial: `lab list sweep_samplers`."""
        pruner: Annotated[Component | None, Reference("sweep_pruner")] = None
        """What stops trials that do not promise much: `lab list sweep_pruners`. It sees what the objective's
        evaluator reports during the training, so that one needs an `every`."""
        storage: str = ""
        """Where the trials are kept, as a URL of SQLAlchemy: postgresql+psycopg://user@host/database. By
        default a SQLite file in the folder of the sweep."""
        study: str = ""
        """Name of the study in a storage that several share; by default the title of the recipe."""
        seed: int = 0
        """Of the sampler."""
        allow_hidden_labels: bool = False
        """Allow objectives that are computed from labels which the trainer may not see: an oracle's."""

        @field_validator("parameters")
        @classmethod
        def _readable(cls, given: dict[str, Any]) -> dict[str, Any]:
            if not dict(parameters_of(given)):
                raise ValueError("should name at least one option of the recipe that varies")
            # All as tables, so that they stay in their order when the recipe is written.
            return {key: {"choices": one} if isinstance(one, list) else one for key, one in given.items()}

        @field_validator("storage")
        @classmethod
        def _without_password(cls, url: str) -> str:
            if "://" in url and ":" in url.partition("://")[2].rpartition("@")[0]:
                raise ValueError("should hold no password, as it is recorded: use ~/.pgpass or PGPASSWORD")
            return url

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parameters = dict(parameters_of(config.parameters))


def parameters_of(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Parameter]]:
    """The parameters in a table, by dotted keys, which may be written as tables in tables.

    Raises `ValueError` for one that says neither a range nor choices.
    """
    for key, value in table.items():
        here = f"{path}.{key}" if path else key
        found = parameter(here, value)
        if found is not None:
            yield here, found
        elif isinstance(value, Mapping) and value:
            yield from parameters_of(value, here)
        else:
            raise ValueError(
                f"should give '{here}' as {{ low = ..., high = ... }} or a list of values, not {value!r}"
            )
