"""Networks as text: nested as `print(module)` shows them, and as tables of their layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluglab.architecture.networks import Architecture, Layer, Network, Shape
from pluglab.errors import printable
from pluglab.table_lines import table_lines, wrapped

COLUMNS = "layer", "as printed", "output", "calls", "parameters"
WIDTH = 110
MB = 1024**2
MEMORY = (
    "Memory is estimated as torchsummary does it, in MB of 1024 x 1024 bytes, at batch size {}: the inputs, "
    "the outputs of the layers above twice (forward and backward), and the parameters."
)


def nested(architecture: Architecture) -> str:
    """Each network as a person prints it."""
    return "\n\n".join(f"{printable(one.name)}: {printable(one.printed)}" for one in architecture.networks)


def tables(architecture: Architecture, width: int | None = WIDTH) -> str:
    """A table of layers for each network, at most `width` signs wide, with totals and memory."""
    return "\n".join(_lines(architecture, width))


def _lines(architecture: Architecture, width: int | None) -> Iterator[str]:
    for network in architecture.networks:
        name = printable(network.name)
        yield from wrapped(f"{name}  <-  {_shapes(network.inputs)}\n\n", width or WIDTH)
        yield from table_lines(COLUMNS, list(map(_row, network.layers)), width)
        words = f"\n{name}: {_total(network)}\nmemory: {_memory(network)}\n\n"
        yield from wrapped(words, width or WIDTH)
    several = len(architecture.networks) > 1
    words = f"all {len(architecture.networks)} networks: {_total(architecture)}\n" if several else ""
    yield from wrapped(words + MEMORY.format(architecture.batch_size), width or WIDTH)


def _row(layer: Layer) -> Sequence[str]:
    count = f"{layer.parameters:,}" if layer.parameters else f"as {layer.shares}" if layer.shares else "-"
    kind = f"{layer.type}({layer.arguments})"
    outputs, calls = _shapes(layer.outputs) or "-", str(layer.calls or "-")
    return [printable(layer.name) or "(itself)", printable(kind), outputs, calls, printable(count)]


def _total(counted: Network | Architecture) -> str:
    frozen = counted.parameters - counted.trainable
    words = f"{counted.trainable:,} trainable, {frozen:,} frozen" if frozen else "all trainable"
    return f"{counted.parameters:,} parameters, {words if counted.parameters else 'nothing to train'}"


def _memory(network: Network) -> str:
    memory = network.memory
    parts = {
        "inputs": memory.inputs,
        "forward and backward": 2 * memory.outputs,
        "parameters": memory.parameters,
        "estimated total": memory.total,
    }
    return ", ".join(f"{name} {value / MB:,.2f} MB" for name, value in parts.items())


def _shapes(shapes: Sequence[Shape]) -> str:
    return ", ".join(" x ".join(map(str, shape)) or "scalar" for shape in shapes)
