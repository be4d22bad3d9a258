"""Nothing twice: what a killed run has written of a step is not written again by the one that goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

OF_PAGES = "_hparams_/", "custom_scalars"
"""Tags of what is written anew where more has appeared."""
TIME = 3
"""Where the time is in 'events.out.tfevents.1795697505.host.pid.number'."""
Key = tuple[str, int, tuple[bytes, ...]]


class OnceWriter(SummaryWriter):
    """Leaves out a tag at a step that its folder has already, or the same text.

    What a resumed run has had until its checkpoint stays, and what is done again from `purge_step` on is
    hidden. That is not enough at the step of the checkpoint itself: the last evaluations come after it.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        _put_before(folder, int(time.time()))
        self.there = _written(folder, purge_step)
        super().__init__(str(folder), purge_step=purge_step)

    def _get_file_writer(self) -> Any:
        return _Once(super()._get_file_writer(), self.there)  # type: ignore[no-untyped-call]


class _Once:
    """A writer of events that leaves out what is there."""

    def __init__(self, writer: Any, there: set[Key]) -> None:
        self.writer, self.there = writer, there

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer, name)

    def add_summary(self, summary: Any, global_step: int, walltime: float | None = None) -> None:
        values = [value for value in summary.value if _key(value, global_step) not in self.there]
        self.there |= _keys(values, global_step)
        if values:
            self.writer.add_summary(type(summary)(value=values), global_step, walltime)


def _key(value: Any, step: int) -> Key:
    return value.tag, step, tuple(value.tensor.string_val)


def _keys(values: Any, step: int) -> set[Key]:
    return {_key(value, step) for value in values if not value.tag.startswith(OF_PAGES)}


def _put_before(folder: Path, now: int) -> None:
    """Give files of a clock that was ahead of this one an earlier time in their names, in which order they
    are read: what hides has to come after what it hides."""
    later = [file for file in sorted(folder.glob("events.*")) if _time_of(file) >= now]
    for number, file in enumerate(later):
        words = file.name.split(".")
        words[TIME] = f"{now - len(later) + number:010d}"
        file.rename(file.with_name(".".join(words)))


def _time_of(file: Path) -> int:
    words = file.name.split(".")
    return int(words[TIME]) if len(words) > TIME and words[TIME].isdecimal() else 0


def _written(folder: Path, purge_step: int | None) -> set[Key]:
    """What the event files of a folder show when those of `purge_step` and later are hidden."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.compat.proto.event_pb2 import SessionLog

    there: set[Key] = set()
    for file in sorted(folder.glob("events.*")) if purge_step else ():
        for event in LegacyEventFileLoader(str(file)).Load():
            if event.session_log.status == SessionLog.START:
                there = {key for key in there if key[1] < event.step}
            there |= _keys(event.summary.value, event.step)
    return {key for key in there if purge_step and key[1] < purge_step}
