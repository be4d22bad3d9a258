"""The model card, README.md: what the model is, what was measured, how to load it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluglab_export.config import Config
from pluglab_export.snippets import snippets
from pluglab_export.weights import FILE

LICENSE = "FILL-IN"
GRAPHS = """\
Images are float32 in [-1, 1], N x C x H x W. A graph is the network alone: what pluglab does around it
(transforms of images, the loop of a sampler, clamping, a choice among outputs) is not in it. The file
config.json tells programs the same."""
Table = Mapping[str, Any]


def card_of(config: Config) -> str:
    """The card as Markdown, made of nothing but what config.json says."""
    parts = [
        *_head(config),
        "## Data",
        *_data(config),
        "## Measured",
        *_measured(config),
        "## Files",
        *_files(config),
        "## Loading it",
        *snippets(config),
        "## License",
        f"{LICENSE}: the license of the weights is for you to choose, and the data's to allow.",
    ]
    return "\n\n".join(parts) + "\n"


def _head(config: Config) -> Iterator[str]:
    name, versions = config["trainer"]["name"], config["versions"]
    datasets = dict.fromkeys(str(role["dataset"]) for role in config["roles"].values())
    yield f"---\nlicense: {LICENSE}\nlibrary_name: pluglab\ntags: [pluglab, {name}]\n---"
    yield f"# {name} on {' and '.join(datasets)}, after {config['step']:,} steps"
    yield config["trainer"]["summary"]
    made = f"pluglab {versions['pluglab']} and torch {versions['torch']}"
    yield f"Trained with {made}; run `{config['identity']}`, seed {config['seed']}."
    if "samples.png" in config["files"]:
        yield "![The first samples, unchosen](samples.png)"


def _data(config: Config) -> Iterator[str]:
    rows = [
        [role, of["dataset"], split, _shape(of), f"`{digest}`"]
        for role, of in config["roles"].items()
        for split, digest in of["sha256"].items()
    ]
    yield _table(["role", "data set", "split", "images", "SHA-256"], rows)
    for role, of in config["roles"].items():
        yield f"{of['images']:,} images were to learn from as `{role}`{_transforms(of['transforms'])}."
    if config["classes"]:
        yield f"Classes that can be asked for: {', '.join(config['classes'])}."


def _transforms(transforms: Sequence[Table]) -> str:
    return f", after the transforms {', '.join(map(_component, transforms))}" if transforms else ""


def _component(table: Table) -> str:
    options = _words({key: value for key, value in table.items() if key != "name"})
    return f"`{table['name']}` ({options})" if options else f"`{table['name']}`"


def _measured(config: Config) -> Iterator[str]:
    if not config["scalars"]:
        yield "Nothing was measured at this step."
        return
    rows = [
        [f"`{name}`", _number(of["value"]), of["evaluator"], f"`{of['protocol']}`"]
        for name, of in config["scalars"].items()
    ]
    yield _table(["scalar", "value", "evaluator", "protocol"], rows)
    yield "Two values of a scalar compare where their protocols are equal:"
    yield "\n".join(f"- {label}: {_words(of)}" for label, of in config["protocols"].items())
    if picked := config["selected_by"]:
        oracle = " (oracle: it reads labels that training may not see)" if picked.get("oracle") else ""
        yield f"The checkpoint was picked by `{picked['metric']}`{oracle}."


def _files(config: Config) -> Iterator[str]:
    rows, reasons = [], []
    for name, network in config["networks"].items():
        what = f"{network['weights']} weights, {network['parameters']:,} parameters"
        called = f"called to {', '.join(network['called_to'])}"
        for graph in network["graphs"]:
            if graph["file"]:
                rows.append(
                    [f"`{graph['file']}`", f"{name}: {what}, {called}", _inputs(graph), _check(graph)]
                )
            else:
                reasons.append(f"`{graph['name']}` has no graph: {'; '.join(graph['reasons'])}.")
        if network["not_written"]:
            reasons.append(f"`{name}` has no graph: {network['not_written']}.")
    rows.append(
        [
            f"`{FILE}`",
            f"{', '.join(config['networks'])}: tensors `<network>.<key>`",
            "",
            "equal to the last bit",
        ]
    )
    yield _table(["file", "network", "inputs", "read back"], rows)
    yield from reasons
    yield GRAPHS


def _inputs(graph: Table) -> str:
    given = [f"`{name}` {_times(of['shape'])} {of['type']}" for name, of in graph["inputs"].items()]
    return "; ".join([*given, *(f"{name} = {value}" for name, value in graph["fixed"].items())])


def _check(graph: Table) -> str:
    within = f"within {graph['largest_difference']:.1e}, of values up to {graph['largest_value']:.3g}"
    return f"{within}; batches of {', '.join(map(str, graph['checked_with_images']))}"


def _shape(spec: Table) -> str:
    return _times([spec["channels"], spec["height"], spec["width"]])


def _times(lengths: Sequence[Any]) -> str:
    return " x ".join(map(str, lengths)) or "scalar"


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.4f}"


def _words(table: Table) -> str:
    return "; ".join(f"{key} {value}" for key, value in table.items())


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
