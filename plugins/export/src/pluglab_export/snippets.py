"""How to load what was exported, as code for the model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluglab_export.weights import FILE

BATCH = 4  # images that the examples are for
Graph = Mapping[str, Any]


def snippets(config: Mapping[str, Any]) -> Iterator[str]:
    """With pluglab, then without: each graph, and the weights."""
    yield "With pluglab and the run's folder, as it was trained:"
    yield _code("python", ["import pluglab", "", 'model = pluglab.load("RUN")'])
    yield "With pluglab, to train on from these weights:"
    yield _code("", [f"lab run RECIPE --init {FILE}"])
    yield "Without pluglab:"
    for network in config["networks"].values():
        for graph in network["graphs"]:
            if graph["file"]:
                yield _code("python", _onnx(graph) if graph["format"] == "onnx" else _torch(graph))
    yield _code("python", _weights(next(iter(config["networks"]))))


def _onnx(graph: Graph) -> list[str]:
    return [
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{graph["file"]}")',
        "inputs = {",
        *(f'    "{name}": np.zeros({_shape(of)}, np.{of["type"]}),' for name, of in graph["inputs"].items()),
        "}",
        f"{_targets(graph)} = session.run(None, inputs)",
    ]


def _torch(graph: Graph) -> list[str]:
    return [
        "import torch",
        "",
        f'network = torch.export.load("{graph["file"]}").module()',
        "inputs = [",
        *(
            f"    torch.zeros({_shape(of)}, dtype=torch.{of['type']}),  # {name}"
            for name, of in graph["inputs"].items()
        ),
        "]",
        f"{_targets(graph)} = network(*inputs)",
    ]


def _weights(network: str) -> list[str]:
    return [
        "from safetensors.torch import load_file",
        "",
        f'network = "{network}."',
        f'tensors = load_file("{FILE}")',
        "state = {k.removeprefix(network): v for k, v in tensors.items() if k.startswith(network)}",
    ]


def _targets(graph: Graph) -> str:
    return ", ".join(graph["outputs"]) if len(graph["outputs"]) > 1 else f"[{graph['outputs'][0]}]"


def _shape(given: Mapping[str, Any]) -> str:
    return repr(tuple(BATCH if isinstance(length, str) else length for length in given["shape"]))


def _code(language: str, lines: Sequence[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])
