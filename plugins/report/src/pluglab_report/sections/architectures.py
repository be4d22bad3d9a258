"""Networks as a person prints them, and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluglab.architecture.networks import Architecture, Layer, Network, Shape
from pluglab.protocols import Table
from pluglab_report.blocks import Block, Code, Fold, Heading, TableBlock, Text
from pluglab_report.chapters import Chapter
from pluglab_report.networks import architectures_of
from pluglab_report.words import listed, slug

MB = 1024**2


class Architectures:
    """Groups with the same networks are told of once. Runs that recorded none are left out."""

    title = "Architectures"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        found = architectures_of(chapter)
        return [
            *_summary(chapter, found),
            *(block for names, one in found for block in _architecture(chapter, names, one, len(found) > 1)),
        ]


Found = Sequence[tuple[list[str], Architecture]]


def _summary(chapter: Chapter, found: Found) -> Iterator[Block]:
    rows = [
        [listed(names), one.name, one.type, f"{one.parameters:,}", f"{one.memory.total / MB:,.1f}"]
        for names, architecture in found
        for one in architecture.networks
    ]
    if rows:
        size = found[0][1].batch_size
        columns = ["model", "network", "type", "parameters", f"MB at batch size {size}"]
        yield TableBlock(f"{chapter.layout.name}_networks", Table(columns, rows))


def _architecture(chapter: Chapter, names: list[str], one: Architecture, several: bool) -> Iterator[Block]:
    if several:
        yield Heading(listed(names))
    for network in one.networks:
        yield Fold(f"{network.name}, printed", [Code(network.printed)], printed=True)
        layers = list(_layers(chapter, names[0], network, one.batch_size))
        yield Fold(f"{network.name}, layer by layer", layers, printed=True)


def _layers(chapter: Chapter, owner: str, network: Network, batch_size: int) -> Iterator[Block]:
    rows = [[*map(str, _row(layer))] for layer in network.layers]
    total = ["total", "", "", "", f"{network.parameters:,}"]
    columns = ["layer", "as printed", "output", "calls", "parameters"]
    name = f"{chapter.layout.name}_layers_{slug(owner)}_{slug(network.name)}"
    yield TableBlock(name, Table(columns, [*rows, total]), f"{network.name}, given {_shapes(network.inputs)}")
    yield Text(_memory(network, batch_size))


def _row(layer: Layer) -> Sequence[str | int]:
    count = f"{layer.parameters:,}" if layer.parameters else f"as {layer.shares}" if layer.shares else "-"
    printed = f"{layer.type}({layer.arguments})"
    return layer.name or "(itself)", printed, _shapes(layer.outputs) or "-", layer.calls or "-", count


def _shapes(shapes: Sequence[Shape]) -> str:
    return ", ".join(" x ".join(map(str, shape)) or "scalar" for shape in shapes)


def _memory(network: Network, batch_size: int) -> str:
    memory, frozen = network.memory, network.parameters - network.trainable
    parts = {
        "inputs": memory.inputs,
        "forward and backward": 2 * memory.outputs,
        "parameters": memory.parameters,
    }
    sizes = ", ".join(f"{name} {value / MB:,.2f}" for name, value in parts.items())
    trained = (
        f"{network.trainable:,} parameters are trained, {frozen:,} are frozen"
        if frozen
        else "All are trained"
    )
    return f"{trained}. Memory in MB at batch size {batch_size}: {sizes}; in all {memory.total / MB:,.2f}."
