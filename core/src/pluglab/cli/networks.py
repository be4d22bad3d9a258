"""What a trainer's networks are made of: layers, output shapes, exact parameter counts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pluglab.capabilities import HasNetworks
from pluglab.cli.output import GAP, table_lines
from pluglab.errors import RunError, printable
from pluglab.training.fabric import is_wrapped

COLUMNS = "layer", "type", "output", "calls", "parameters"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer. `outputs` are the shapes of its first call; it has none where it was never called.

    `parameters` are those that no earlier layer has counted, so that shared ones count once. `calls` is
    how often one pass through the network uses the layer.
    """

    name: str
    type: str
    outputs: tuple[Shape, ...]
    calls: int
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Network:
    """One network, run on example inputs. `parameters` is the sum over its layers."""

    name: str
    inputs: tuple[Shape, ...]
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Parameters that require a gradient."""
        return sum(layer.trainable for layer in self.layers)


def describe(trainer: HasNetworks) -> list[Network]:
    """The networks that the trainer lists, in its order.

    Each is run once on its example inputs, in evaluation mode and without gradients; neither its mode, nor
    its running statistics, nor any random generator is changed by it. Raises `RunError` where a network
    does not take its own example inputs.
    """
    return [_network(name, module, inputs) for name, (module, inputs) in trainer.networks().items()]


def _network(name: str, module: nn.Module, inputs: Sequence[Tensor]) -> Network:
    if is_wrapped(module):
        module = cast(nn.Module, module.module)
    rows = list(_rows(module))
    with ExitStack() as stack:
        traces = {row: stack.enter_context(_trace(part)) for row, part in rows}
        stack.enter_context(_undisturbed(module))
        try:
            module(*(item.to(_device(module)) for item in inputs))
        except Exception as error:
            shapes = ", ".join(_times(tuple(item.shape)) for item in inputs)
            raise RunError(f"network '{name}' cannot run on example inputs {shapes}: {error}") from error
    seen: set[int] = set()
    layers = tuple(_layer(row, part, traces[row], seen) for row, part in rows)
    return Network(name, tuple(tuple(item.shape) for item in inputs), layers)


def _rows(module: nn.Module, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, nn.Module]]:
    """Layers without parts, and modules that own parameters besides their parts', each once.

    Torch keeps the weight of a parametrized layer (spectral norm, say) in parts of it; still one layer.
    """
    seen = set() if seen is None else seen
    if id(module) in seen:
        return
    seen.add(id(module))
    parts = [(key, part) for key, part in module.named_children() if part is not _parametrizations(module)]
    if not parts or _own_parameters(module):
        yield name, module
    for key, part in parts:
        yield from _rows(part, f"{name}.{key}" if name else key, seen)


def _parametrizations(module: nn.Module) -> nn.Module | None:
    return cast(nn.Module, module.parametrizations) if parametrize.is_parametrized(module) else None


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    extra = _parametrizations(module)
    return [*module.parameters(recurse=False), *(extra.parameters() if extra is not None else [])]


@dataclass
class _Calls:
    count: int = 0
    outputs: tuple[Shape, ...] = field(default=())


@contextmanager
def _trace(module: nn.Module) -> Iterator[_Calls]:
    calls = _Calls()

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        calls.outputs = calls.outputs or tuple(_shapes(output))
        calls.count += 1

    handle = module.register_forward_hook(note)
    try:
        yield calls
    finally:
        handle.remove()


def _shapes(output: Any) -> Iterator[Shape]:
    if isinstance(output, Tensor):
        yield tuple(output.shape)
    elif isinstance(output, (Mapping, Sequence)) and not isinstance(output, str):
        for item in output.values() if isinstance(output, Mapping) else output:
            yield from _shapes(item)


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, and every mode and random generator as before afterwards."""
    modes = {part: part.training for part in module.modules()}
    device = _device(module)
    with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        module.eval()
        try:
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode


def _device(module: nn.Module) -> torch.device:
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _layer(name: str, module: nn.Module, calls: _Calls, seen: set[int]) -> Layer:
    own = list({id(item): item for item in _own_parameters(module) if id(item) not in seen}.values())
    seen.update(map(id, own))
    kind = parametrize.type_before_parametrizations(module).__name__
    trainable = sum(item.numel() for item in own if item.requires_grad)
    return Layer(name, kind, calls.outputs, calls.count, sum(item.numel() for item in own), trainable)


# Presentation ------------------------------------------------------------------------------------------


def as_json(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Plain values for `json.dumps`, totals included."""
    return [{**asdict(n), "parameters": n.parameters, "trainable": n.trainable} for n in networks]


def as_text(networks: Sequence[Network], *, terminal: bool = False, width: int = 110) -> str:
    """One table a network, at most `width` signs wide; with colors and lines for a terminal that has room."""
    from rich.console import Console

    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=width, highlight=False)
    for network in networks:
        rows = list(map(_row, network.layers))
        if sum(max(map(len, column)) + GAP for column in zip(COLUMNS, *rows, strict=True)) <= width:
            console.print(_table(network, rows, terminal))
        else:
            lines = [printable(_title(network)), "", *table_lines(COLUMNS, rows, width), ""]
            console.print("\n".join(lines), markup=False, soft_wrap=True)
        frozen = network.parameters - network.trainable
        total = f"{network.name}: {network.parameters:,} parameters"
        console.print(total + (f", {frozen:,} of them frozen" if frozen else ""), markup=False, end="\n\n")
    return written.getvalue().rstrip("\n")


def _title(network: Network) -> str:
    return f"{network.name}  <-  {', '.join(map(_times, network.inputs))}"


def _row(layer: Layer) -> list[str]:
    outputs = ", ".join(map(_times, layer.outputs)) or "-"
    count = f"{layer.parameters:,}" if layer.parameters else "-"
    return [printable(layer.name) or "(itself)", layer.type, outputs, str(layer.calls), count]


def _table(network: Network, rows: Sequence[Sequence[str]], terminal: bool) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    style = box.SIMPLE_HEAD if terminal else None
    table = Table(title=Text(printable(_title(network))), title_justify="left", box=style, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("layer", "type") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "scalar"
