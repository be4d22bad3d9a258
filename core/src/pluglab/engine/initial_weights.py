"""Weights to start from: those of another run, or of a file, as far as they fit by name and shape."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pluglab.errors import UserError
from pluglab.plugins.loading import one_line
from pluglab.protocols import DataContext
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import RunFolder, is_experiment, is_run, run_folders
from pluglab.training.ema import EMA
from pluglab.training.trainer import modules_of, plain_module

WRAPPED = {"module", "_orig_mod", "_forward_module"}  # parts of names that wrappers of networks add
WRAPPERS = ("state_dict", "model", "model_state_dict", "weights", "trainer")
SHOWN = 3  # names that a line lists


@dataclass(frozen=True)
class InitialWeights:
    """Tensors by name, where they come from, and the hash of that file."""

    source: str
    tensors: Mapping[str, Tensor]
    digest: str

    def put_into(self, trainer: object) -> dict[str, Any]:
        """Give the trainer's networks and averages what fits. Returns what was taken, and what was not.

        A name is that of the network and the tensor, 'generator.0.weight'; names of tensors alone go to the
        network that has most of them. Raises `UserError` where nothing fits.
        """
        averages, networks = _averages(trainer), modules_of(trainer)
        parts: dict[str, Any] = {**networks, **averages}
        states = {part: owner.state_dict() for part, owner in parts.items()}
        full = {part: self._fitting(state, f"{part}.") for part, state in states.items()}
        bare = {part: self._fitting(state, "") for part, state in states.items()}
        most = max(map(len, bare.values()), default=0)
        found = {part: {**(bare[part] if len(bare[part]) == most else {}), **full[part]} for part in parts}
        for part, owner in parts.items():
            given = {key: self.tensors[name] for key, name in found[part].items()}
            owner.load_state_dict({**states[part], **given})
        following = {
            part: name
            for part, average in averages.items()
            for name, network in networks.items()
            if found[name] and not found[part] and plain_module(network) is average.source
        }
        for part in following:
            averages[part].restart()
        taken = {name for names in found.values() for name in names.values()}
        if not taken:
            help = [f"it holds {_some(self.tensors)}", f"the trainer has the networks {', '.join(parts)}"]
            raise UserError(f"no weight of {self.source} fits the trainer by name and shape", help=help)
        kept = {part: [key for key in states[part] if key not in found[part]] for part in parts}
        return {
            "source": self.source,
            "digest": self.digest,
            "taken": len(taken),
            "kept": {part: keys for part, keys in kept.items() if keys and part not in following},
            "following": following,
            "unused": [name for name in self.tensors if name not in taken],
        }

    def _fitting(self, state: Mapping[str, Any], prefix: str) -> dict[str, str]:
        """The names of the tensors that fit, by the keys of a network's state."""
        names = {key: f"{prefix}{key}" for key in state}
        return {
            key: name
            for key, name in names.items()
            if name in self.tensors and getattr(state[key], "shape", None) == self.tensors[name].shape
        }


def words_of(report: Mapping[str, Any]) -> list[str]:
    """What was taken and what was not, in lines."""
    kept = sum(map(len, report["kept"].values()))
    lines = [f"starting from {report['source']}: {report['taken']} tensors taken"]
    for average, network in report["following"].items():
        lines.append(f"  the average '{average}' starts as a copy of '{network}'")
    if kept:
        names = [f"{part}.{key}" for part, keys in report["kept"].items() for key in keys]
        lines.append(f"  as usual start {kept} that it lacks, or has of another shape: {_some(names)}")
    if report["unused"]:
        lines.append(f"  not used: {len(report['unused'])} of its own: {_some(report['unused'])}")
    return lines


def _some(names: Collection[str]) -> str:
    return ", ".join([*list(names)[:SHOWN], *(["..."] if len(names) > SHOWN else [])])


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what the networks of one saved trainer are others than those of another one, in words."""
    old, new = ({key: tuple(t.shape) for key, t in _flat(states)} for states in (before, now))
    changed = [key for key in old if key in new and old[key] != new[key]]
    return [
        *(f"{key} was {_size(old[key])}, and is {_size(new[key])}" for key in changed),
        *(f"{key} is new" for key in new if key not in old),
        *(f"{key} is gone" for key in old if key not in new),
    ]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def find_weights(asked: str, context: DataContext) -> InitialWeights:
    """The weights of RUN, RUN@STEP or a file. Raises `UserError` where there are none."""
    path, step = _split(asked)
    found = next((place for place in context.places(path) if place.exists()), None)
    if found is None:
        help = ["give the folder of a run, RUN@STEP, or a file: .pt, .pth, .safetensors"]
        raise UserError(f"there is no run and no file {path} to start from", help=help)
    if found.is_dir():
        return _of_run(found, step)
    if step is not None:
        raise UserError(f"{path} is a file, and has no step {step}")
    return _of_file(found)


def _split(asked: str) -> tuple[str, int | None]:
    path, at, step = asked.rpartition("@")
    return (path, int(step)) if at and step.isdecimal() else (asked, None)


def _of_run(folder: Path, step: int | None) -> InitialWeights:
    if not is_run(folder):
        runs = run_folders(folder) if is_experiment(folder) else []
        help = [f"give one of its runs: {', '.join(str(run.path) for run in runs)}"] if runs else []
        raise UserError(f"{folder} is not the folder of one run", help=help)
    run = RunFolder(folder)
    run.read()
    file, state = Checkpoints(run.checkpoints).find(run.reported_step() if step is None else step)
    tensors = dict(_flat(state["trainer"]))
    return InitialWeights(f"{folder}@{file.step}", tensors, file.digest)


def _flat(states: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of networks and averages by name; of optimizers nothing."""
    for name, state in states.items():
        if isinstance(state, Tensor):
            yield f"{prefix}{name}", state
        elif isinstance(state, Mapping) and "param_groups" not in state:
            yield from _flat(state, f"{prefix}{name}.")


def _of_file(path: Path) -> InitialWeights:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise UserError(f"{path} needs safetensors", help=['pip install "pluglab[safetensors]"']) from None
    except Exception as error:  # torch.load raises many kinds for a file that is not one
        what = one_line(error)
        help = ["it must hold a state_dict: tensors by name, and nothing else"]
        raise UserError(f"{path} cannot be read as weights: {what}", help=help) from error
    while isinstance(state, Mapping) and (inner := next((k for k in WRAPPERS if k in state), None)):
        state = state[inner]
    tensors = {_bare(name): value for name, value in _flat(state)} if isinstance(state, Mapping) else {}
    if not tensors:
        raise UserError(f"{path} holds no tensors by name")
    return InitialWeights(str(path), tensors, digest)


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPED)


def _averages(trainer: object) -> dict[str, EMA]:
    return {name: value for name, value in vars(trainer).items() if isinstance(value, EMA)}
