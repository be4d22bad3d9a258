"""Whether what a component returned is what its kind promises, told with the author's own file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

from pluglab.errors import did_you_mean
from pluglab.images import Images
from pluglab.plain import plain
from pluglab.plugins.contracts import ContractError, place_in, place_of
from pluglab.protocols import Evaluation, Figure, Table

MAPPINGS = ("scalars", "figures", "tables", "protocol", "protocols", "better")


def _named(thing: object, method: str) -> str:
    return f"{getattr(thing, '__name__', type(thing).__name__)}{'.' if method else ''}{method}"


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"a tensor of shape {tuple(shape)}" if shape else type(value).__name__


# Trainers ------------------------------------------------------------------------------------------


def check_logs(trainer: object, logs: Any) -> None:
    """What a step returned. Raises `ContractError` for anything but scalar tensors by name."""
    from torch import Tensor

    if isinstance(logs, Mapping):
        wrong = [
            (k, v) for k, v in logs.items() if not isinstance(v, Tensor) or v.ndim or not isinstance(k, str)
        ]
        if not wrong:
            return
        key, value = wrong[0]
        what = f"{_kind(value)} as {key!r}"
    else:
        what = type(logs).__name__
    raise ContractError(
        f"{type(trainer).__name__}.step returns {what}: it must return scalar tensors by name",
        help=['as in {"loss": loss.detach()}; .item() would wait for the device, .mean() makes a scalar'],
        where=place_in(trainer, "step"),
    )


def check_findings(trainer: object, found: Any) -> Sequence[str]:
    """What `diagnose` returned. Raises `ContractError` for anything but texts."""
    if isinstance(found, (list, tuple)) and all(isinstance(line, str) for line in found):
        return found
    message = f"{type(trainer).__name__}.diagnose returns {_kind(found)}: it must return a list of texts"
    raise ContractError(message, where=place_in(trainer, "diagnose"))


def check_optimizer(target: Any, made: Any) -> Any:
    """What an optimizer's class or function made. Raises `ContractError` for what is none."""
    if callable(getattr(made, "step", None)) and hasattr(made, "param_groups"):
        return made
    message = f"{_named(target, '')} returns {_kind(made)}: it must return an optimizer"
    raise ContractError(message, where=place_of(target))


# Data ----------------------------------------------------------------------------------------------


def check_split(dataset: object, split: str, found: Any) -> Images:
    """What a data set gave as a split. Raises `ContractError` for anything but `Images`."""
    if isinstance(found, Images):
        return found
    message = f"{_named(dataset, 'split')}('{split}') returns {_kind(found)}: it must return Images"
    help = ["pluglab.Images(pixels, labels, classes), pixels uint8 N x C x H x W"]
    raise ContractError(message, help=help, where=place_in(dataset, "split"))


def check_transformed(transform: Any, before: Any, after: Any) -> Any:
    """A batch after a transform. Raises `ContractError` for anything but as many images."""
    if getattr(after, "ndim", 0) == 4 and len(after) == len(before):
        return after
    message = f"{_named(transform, '')} makes {_kind(after)} of a batch of shape {tuple(before.shape)}"
    help = ["a transform returns as many images, N x C x H x W"]
    raise ContractError(message, help=help, where=place_in(transform, "__call__"))


# Launchers -----------------------------------------------------------------------------------------


def check_failures(launcher: object, found: Any) -> Mapping[str, Exception]:
    """What `launch` returned. Raises `ContractError` for anything but failures by label."""
    if isinstance(found, Mapping) and all(isinstance(one, Exception) for one in found.values()):
        return found
    message = f"{_named(launcher, 'launch')} returns {_kind(found)}: it must return failures by label"
    help = ["an empty mapping where nothing failed"]
    raise ContractError(message, help=help, where=place_in(launcher, "launch"))


# Evaluators ----------------------------------------------------------------------------------------


def check_evaluation(evaluator: object, found: Any) -> Evaluation:
    """What an evaluator returned, every figure a `Figure`. Raises `ContractError`."""
    where, name = place_in(evaluator, "evaluate"), _named(evaluator, "evaluate")
    if not isinstance(found, Evaluation):
        message = f"{name} must return an Evaluation, not {type(found).__name__}"
        raise ContractError(message, help=["Evaluation(scalars={...}, figures={...})"], where=where)
    for message, help in _wrong(found):
        raise ContractError(f"{name}: {message}", help=help, where=where)
    figures = {key: f if isinstance(f, Figure) else Figure(f) for key, f in found.figures.items()}
    scalars = {key: float(value) for key, value in found.scalars.items()}
    protocols = {key: dict(value) for key, value in found.protocols.items()}
    rest = dict(found.tables), tuple(found.headline), dict(found.protocol), protocols, dict(found.better)
    return Evaluation(scalars, figures, *rest)


def _wrong(found: Evaluation) -> Iterator[tuple[str, Sequence[str]]]:
    """What is wrong with an evaluation, each with ways out."""
    for part in MAPPINGS:
        value = getattr(found, part)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            yield f"{part} must be a mapping of names, not {value!r:.60}", ()
            return
    if isinstance(found.headline, str) or not isinstance(found.headline, (tuple, list)):
        yield f"headline must be a tuple of names, not {found.headline!r:.60}", ()
        return
    for key, value in found.scalars.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            yield f"the scalar '{key}' is {_kind(value)}: it must be a float", ()
    for key, value in found.better.items():
        if value not in ("max", "min"):
            yield f"better says {value!r} of '{key}': it is 'max' or 'min'", ()
    for part in ("headline", "protocols", "better"):
        for key in getattr(found, part):
            if key not in found.scalars:
                guess = did_you_mean(key, found.scalars)
                yield f"{part} names '{key}', and there is no such scalar", [guess] if guess else ()
    yield from _unfit_for_json("the protocol", [found.protocol, found.protocols])
    for key, table in found.tables.items():
        yield from _wrong_table(key, table)
    for key, figure in found.figures.items():
        yield from _wrong_figure(key, figure if isinstance(figure, Figure) else Figure(figure))


def _wrong_table(key: str, table: Any) -> Iterator[tuple[str, Sequence[str]]]:
    if not isinstance(table, Table):
        yield f"the table '{key}' is {_kind(table)}: it must be a Table", ()
    elif any(len(row) != len(table.columns) for row in table.rows):
        yield f"the table '{key}' has rows that are not as long as its {len(table.columns)} columns", ()
    else:
        yield from _unfit_for_json(f"the table '{key}'", vars(table))


def _wrong_figure(key: str, figure: Figure) -> Iterator[tuple[str, Sequence[str]]]:
    array = figure.array
    shape: tuple[int, ...] = tuple(getattr(array, "shape", ()))
    if set(key) & set("/\\") or key in ("", ".", ".."):
        yield f"a figure is called {key!r}, and its file cannot be", ["write it without slashes"]
    elif str(getattr(array, "dtype", "")) != "uint8" or len(shape) not in (3, 4) or shape[-1] != 3:
        got = f"{getattr(array, 'dtype', type(array).__name__)} {shape or ''}"
        yield f"the figure '{key}' must be uint8 H x W x 3 (or T x H x W x 3), not {got}", ()
    elif 0 in shape:
        yield f"the figure '{key}' is empty: {shape}", ()
    yield from _unfit_for_json(f"the data of figure '{key}'", figure.data)


def _unfit_for_json(what: str, value: Any) -> Iterator[tuple[str, Sequence[str]]]:
    try:
        json.dumps(plain(value))
    except (TypeError, ValueError) as error:
        yield f"{what} must be numbers, texts, arrays, and lists or mappings of them: {error}", ()
