"""What an exported model is, as a table: config.json."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from pluglab import TrainedModel, __version__
from pluglab_export.calls import IN_PARTS, Network
from pluglab_export.folder import MAKER
from pluglab_export.graphs import Graph

Config = dict[str, Any]


def config_of(
    model: TrainedModel, networks: Sequence[Network], graphs: Mapping[str, Sequence[Graph]], folder: Path
) -> Config:
    """`graphs`: of each network by its name. `folder` holds the files that are already written."""
    facts, options = model.facts, model.options
    trainer = {key: value for key, value in options["trainer"].items() if key != "name"}
    return {
        "made_by": f"{MAKER} {version(MAKER)}",
        "trainer": {"name": model.name, "summary": _summary(model), "options": trainer},
        "step": model.step,
        "classes": list(model.classes),
        "roles": {role: _role(model, role, facts, options) for role in model.specs},
        "networks": {network.name: _network(network, graphs[network.name]) for network in networks},
        **_scores(model),
        "identity": facts["identity"],
        "seed": facts["seed"],
        "versions": {"exported_with": __version__, **facts["versions"]},
        "plugins": facts["plugins"],
        "plugin_files": {Path(path).name: digest for path, digest in facts["plugin_files"].items()},
        "files": {path.name: _digest(path) for path in sorted(folder.iterdir())},
    }


def _summary(model: TrainedModel) -> str:
    """The first lines of what the trainer's author says of it."""
    return (inspect.getdoc(type(model.trainer)) or "").partition("\n\n")[0].replace("\n", " ")


def _role(
    model: TrainedModel, role: str, facts: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    spec, data = model.specs[role], facts["data"].get(role, {})
    return {
        "channels": spec.channels,
        "height": spec.height,
        "width": spec.width,
        "images": spec.count,
        "classes": None if spec.classes is None else list(spec.classes),
        "dataset": data.get("dataset"),
        "sha256": data.get("sha256", {}),
        "transforms": options["data"][role].get("transforms", []),
    }


def _network(network: Network, graphs: Sequence[Graph]) -> dict[str, Any]:
    parameters = {id(one): one.numel() for one in network.module.parameters()}
    return {
        "weights": "averaged" if network.averaged else "trained",
        "called_to": network.called_to,
        "parameters": sum(parameters.values()),
        "graphs": [_graph(graph) for graph in graphs],
        "not_written": None if network.calls else IN_PARTS,
    }


def _graph(graph: Graph) -> dict[str, Any]:
    function = graph.function
    return {
        "name": function.name,
        "file": graph.file,
        "format": graph.format,
        "inputs": {
            name: _input(function.shape(i), function.examples[0][i]) for i, name in enumerate(function.inputs)
        },
        "outputs": list(function.outputs),
        "fixed": {
            name: v if isinstance(v, (bool, int, float, str)) else repr(v)
            for name, v in function.fixed.items()
        },
        "checked_with_images": list(function.images) if graph.file else [],
        "largest_difference": None if graph.match is None else graph.match.difference,
        "largest_value": None if graph.match is None else graph.match.value,
        "reasons": list(graph.reasons),
    }


def _input(shape: Sequence[int | str], example: Tensor) -> dict[str, Any]:
    return {"shape": list(shape), "type": str(example.dtype).removeprefix("torch.")}


def _scores(model: TrainedModel) -> dict[str, Any]:
    """The scalars that were measured at this step, each with its evaluator and the hash of its protocol."""
    results = model.results
    at_this = (
        results if results.get("step") == model.step else results.get("steps", {}).get(str(model.step), {})
    )
    evaluations, hashes = at_this.get("evaluations", {}), at_this.get("protocols", {})
    scalars = {
        name: {
            "value": value if math.isfinite(value) else None,
            "evaluator": _evaluator(name, evaluations),
            "protocol": hashes.get(name),
        }
        for name, value in at_this.get("scalars", {}).items()
    }
    protocols = {label: found["protocol"] for label, found in evaluations.items() if found["scalars"]}
    picked = results.get("selected_by") if at_this is results else None
    return {"scalars": scalars, "protocols": protocols, "selected_by": picked}


def _evaluator(scalar: str, evaluations: Mapping[str, Any]) -> str | None:
    """The label of the evaluator that a scalar is from; it stands before a name that another has too."""
    for label, found in evaluations.items():
        if scalar in found["scalars"] or scalar.removeprefix(f"{label}/") in found["scalars"]:
            return str(label)
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
