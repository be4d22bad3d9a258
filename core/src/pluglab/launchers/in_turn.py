"""One run after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pluglab.errors import InterruptedRunError, LabError, UserError
from pluglab.protocols import Job


class InTurn:
    """Executes each job in this process; one that fails is noted, and the next one starts."""

    def launch(self, jobs: Iterable[Job], say: Callable[[str], None]) -> Mapping[str, Exception]:
        """Raises `UserError` for wrong input of the only job, so that it is told as such."""
        failures: dict[str, Exception] = {}
        for job in jobs:
            try:
                job.execute()
            except (InterruptedRunError, UserError):
                raise
            except LabError as error:
                failures[job.label] = error
        return failures
