"""The two formats that networks are written in: ONNX, and programs of torch.export."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from pluglab import UserError
from pluglab_export.functions import Function, Tensors

NEEDED = "onnx", "onnxscript", "onnxruntime"
INSTALL = 'pip install "pluglab-export[onnx]"'
Runner = Callable[[Tensors], Tensors]


@dataclass(frozen=True)
class Format:
    """`write(program, function, path)` makes a file, `read(path)` a function of the network's inputs."""

    name: str
    suffix: str
    write: Callable[[ExportedProgram, Function, Path], None]
    read: Callable[[Path], Runner]


def wanted_formats(asked: str, say: Callable[[str], None]) -> Sequence[Format]:
    """The formats to try in turn: of 'auto', 'onnx', 'torch' or 'none'.

    Raises `UserError` for ONNX where what it needs is not installed.
    """
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if asked == "onnx" and lacking:
        raise UserError(f"ONNX needs {', '.join(lacking)}", help=[INSTALL, "or give --format torch"])
    if asked == "auto" and lacking:
        say(f"no ONNX: it needs {', '.join(lacking)} ({INSTALL}); torch.export files are written instead")
        return [TORCH]
    return {"auto": [ONNX, TORCH], "onnx": [ONNX], "torch": [TORCH], "none": []}[asked]


def program_of(function: Function) -> ExportedProgram:
    """The network as a graph, whose free axes are free. Raises what torch does for one that is no graph."""
    try:
        return _traced(function, strict=False)
    except Exception:  # what the quick way takes for a number, len(batch) say, the strict one follows
        return _traced(function, strict=True)


def _traced(function: Function, *, strict: bool) -> ExportedProgram:
    names = {name for axes in function.axes for name in axes.values()}
    dims = {name: Dim(name) for name in names}
    shapes = tuple({axis: dims[name] for axis, name in axes.items()} for axes in function.axes)
    inputs = tuple(tensor.clone() for tensor in function.examples[0])
    with quiet(), torch.no_grad():
        program = torch.export.export(function.plain, inputs, dynamic_shapes=(shapes,), strict=strict)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters tell of themselves, on any way."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write_onnx(program: ExportedProgram, function: Function, path: Path) -> None:
    try:
        made = _translated(program, function)
    except Exception:  # an operator that ONNX lacks may be made of some that it has
        made = _translated(program.run_decompositions(), function)
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()  # they name files of this machine
    made.save(path, external_data=False)


def _translated(program: ExportedProgram, function: Function) -> torch.onnx.ONNXProgram:
    made = torch.onnx.export(
        program,
        input_names=function.inputs,
        output_names=function.outputs,
        dynamic_shapes=(function.axes,),
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    return made


def _read_onnx(path: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(tensors: Tensors) -> Tensors:
        feed: dict[str, Any] = {n: t.numpy() for n, t in zip(names, tensors, strict=True)}
        return tuple(torch.from_numpy(array) for array in session.run(None, feed))

    return run


def _write_torch(program: ExportedProgram, function: Function, path: Path) -> None:
    torch.export.save(program, path)


def _read_torch(path: Path) -> Runner:
    module = torch.export.load(path).module()

    def run(tensors: Tensors) -> Tensors:
        with torch.no_grad():
            return tuple(module(*tensors))

    return run


ONNX = Format("onnx", ".onnx", _write_onnx, _read_onnx)
TORCH = Format("torch", ".pt2", _write_torch, _read_torch)
