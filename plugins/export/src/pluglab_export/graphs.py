"""Networks written as graphs, each file read back and compared with the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from pluglab_export.formats import Format, program_of, quiet
from pluglab_export.functions import Function, Tensors

TOLERANCE = 1e-3
"""Largest difference to the network's own output, in units of its largest value: less than half of one of the
256 levels of an image in [-1, 1]."""
SMALLEST = 1e-6  # outputs below this count as zero


@dataclass(frozen=True)
class Match:
    """How far outputs are from those of the network itself: the largest difference of any element, and the
    largest value."""

    difference: float
    value: float

    @property
    def good(self) -> bool:
        return self.difference <= TOLERANCE * max(self.value, SMALLEST)


@dataclass(frozen=True)
class Graph:
    """A file that computes what the network does, and how well on batches of `function.images` images.

    Without a file, `reasons` says why none could be written; else, why not in a format that was tried first.
    """

    function: Function
    format: str | None = None
    file: str | None = None
    match: Match | None = None
    reasons: tuple[str, ...] = ()

    def words(self) -> str:
        """What became of it, in a line."""
        why = "; ".join(self.reasons)
        if self.match is None:
            return f"{self.function.name}: not written; {why}"
        images = ", ".join(map(str, self.function.images))
        sizes = f"{self.match.difference:.1e} of values up to {self.match.value:.3g}, batches of {images}"
        found = f"{self.function.name}: {self.file}, largest difference {sizes}"
        return f"{found}; {why}" if why else found


def write_graph(function: Function, formats: Sequence[Format], folder: Path) -> Graph:
    """The first of the formats that works, written into `folder` and checked."""
    try:
        expected = _expected(function)
        program = program_of(function)
    except Exception as error:  # torch raises many kinds for what is no graph
        return Graph(function, reasons=(_cause(error),))
    reasons: list[str] = []
    for format in formats:
        path = folder / f"{function.name}{format.suffix}"
        try:
            match = _write(program, function, format, path, expected)
            return Graph(function, format.name, path.name, match, tuple(reasons))
        except Exception as error:  # and so do exporters and runtimes
            path.unlink(missing_ok=True)
            reasons.append(f"not as {format.name}: {_cause(error)}")
    return Graph(function, reasons=tuple(reasons))


def _expected(function: Function) -> list[Tensors]:
    """What the network makes of each example. Raises `ValueError` where that is left to chance."""
    again = function.results(function.examples[0], seed=1)
    expected = [function.results(inputs) for inputs in function.examples]
    if not compared([again], expected[:1]).good:
        raise ValueError("it draws random numbers, so that nothing could be compared")
    return expected


def _write(
    program: ExportedProgram, function: Function, format: Format, path: Path, expected: Sequence[Tensors]
) -> Match:
    """Raises `ValueError` where what was written computes something else."""
    with quiet():
        format.write(program, function, path)
        run = format.read(path)
        found = [run(tuple(tensor.clone() for tensor in inputs)) for inputs in function.examples]
    match = compared(found, expected)
    if not match.good:
        raise ValueError(f"its outputs differ by up to {match.difference:.1e}, of {match.value:.3g}")
    return match


def compared(found: Sequence[Tensors], expected: Sequence[Tensors]) -> Match:
    """Raises `ValueError` for outputs of another number or shape."""
    pairs = [pair for both in zip(found, expected, strict=True) for pair in zip(*both, strict=True)]
    if any(one.shape != other.shape for one, other in pairs):
        raise ValueError("its outputs have other shapes")
    differences = [_largest(one.double() - other.double()) for one, other in pairs]
    # In one tensor, for which anything that is not a number is the largest.
    return Match(
        _largest(torch.tensor(differences)), max((_largest(other) for _, other in pairs), default=0.0)
    )


def _largest(values: Tensor) -> float:
    return float(values.double().abs().max()) if values.numel() else 0.0


def _cause(error: BaseException) -> str:
    """What went wrong first, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
