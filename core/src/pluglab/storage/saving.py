"""Checkpoints written while the training goes on: a copy of the state, which a thread brings to the disk."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from pluglab.storage.checkpoints import Checkpoints

Saved = tuple[int, Path]


class Saving:
    """Saves the checkpoints of one run, one at a time.

    The copy is what `torch.save` writes, in memory that is used again: the bytes of the file, whatever the
    trainer does to its tensors meanwhile. The thread hashes and writes them, and never touches a tensor.
    """

    def __init__(self, checkpoints: Checkpoints, before: Callable[[], None] = lambda: None) -> None:
        """`before`: what has to be done first, in the thread, for a checkpoint to count."""
        self.checkpoints, self.before = checkpoints, before
        self._copy = io.BytesIO()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing: Future[Saved] | None = None

    def begin(self, state: Mapping[str, Any], step: int, keep: int | None = None) -> None:
        """Copy the state of `step` and begin to write it; see `Checkpoints.save`. What was being written
        before must have been `saved`."""
        assert self._writing is None
        self._copy.seek(0)
        torch.save(state, self._copy)
        self._copy.truncate()
        self._writing = self._pool.submit(self._write, step, keep)

    def _write(self, step: int, keep: int | None) -> Saved:
        self.before()
        with self._copy.getbuffer() as content:
            return step, self.checkpoints.write(content, step, keep)

    @property
    def failed(self) -> bool:
        """Whether `saved` would raise an error now."""
        return self._writing is not None and self._writing.done() and self._writing.exception() is not None

    def saved(self, *, wait: bool = False) -> Saved | None:
        """The step and the file of a checkpoint that is on the disk since the last call, if there is one.

        Raises what went wrong with it, such as the `RunError` of a full disk.
        """
        if self._writing is None or not (wait or self._writing.done()):
            return None
        writing, self._writing = self._writing, None
        return writing.result()

    def close(self) -> None:
        """Give back the thread and the memory, once nothing is being written any more."""
        self._pool.shutdown()
        self._copy = io.BytesIO()
