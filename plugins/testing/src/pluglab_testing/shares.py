"""What is asked of a trainer that has a share of a batch: to learn what it would learn from all of it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from torch.multiprocessing.spawn import ProcessRaisedException

from pluglab.conformance import place_in
from pluglab_testing.checking import Fault, NotAsked, NotDone, check
from pluglab_testing.processes import states, unlike
from pluglab_testing.rig import setting_for
from pluglab_testing.subjects import Part


@check("trainer", "processes")
def trains_alike(part: Part) -> None:
    """Two processes with half of each batch train what one trains, but for rounding"""
    if getattr(part.target, "by_share", ""):
        raise NotAsked
    if sys.platform != "linux" or torch.cuda.is_available():
        raise NotDone("processes are tried on Linux, where torch sees no GPU")
    where = place_in(part.target, "step") if part.is_authors(part.target.step.__module__) else part.place
    setting_for(part)  # before the processes part
    with tempfile.TemporaryDirectory() as folder:
        try:
            one = states(1, Path(folder), [part])[part.name]
        except ProcessRaisedException as error:
            raise NotDone(f"in double precision a step ends with {_last_line(error)}") from error
        try:
            two = states(2, Path(folder), [part])[part.name]
        except ProcessRaisedException as error:
            raise Fault(f"in two processes a step ends with {_last_line(error)}", where=where) from error
        except TimeoutError as error:
            raise Fault("in two processes a step does not end", where=where) from error
    if name := unlike(one, two):
        help = [
            "a loss that is a mean over images is one over all processes",
            "a loss that compares the images of a batch: say so in the class, by_share = '...'",
        ]
        raise Fault(f"two processes train another '{name}' than one", help=help, where=where)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
