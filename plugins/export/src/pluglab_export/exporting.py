"""A trained model written into a folder, from first to last."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pluglab import RunError, Samples, TrainedModel
from pluglab.figures import save_array
from pluglab_export.calls import IN_PARTS, Network, called_networks
from pluglab_export.card import card_of
from pluglab_export.config import config_of
from pluglab_export.folder import CARD, CONFIG, check_free, filled
from pluglab_export.formats import Format
from pluglab_export.functions import functions_of
from pluglab_export.graphs import Graph, write_graph
from pluglab_export.weights import FILE, tensors_in, write_weights

PICTURE = "samples"


def export(
    model: TrainedModel,
    out: Path,
    formats: Sequence[Format],
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Write weights, networks, config and card of a model into the folder `out`.

    Every file is read back and compared before the folder is there. `formats` are tried in turn for each
    network. Raises `UserError` for a model that calls no network, or a folder that is taken.
    """
    check_free(out, overwrite)
    networks = called_networks(model, say)
    with filled(out) as folder:
        tensors = tensors_in(networks)
        write_weights(tensors, folder)
        say(f"{FILE}: {len(tensors)} tensors of {', '.join(network.name for network in networks)}")
        graphs = {network.name: _graphs(network, formats, folder, say) for network in networks}
        _write_picture(model, folder, say)
        config = config_of(model, networks, graphs, folder)
        _write_text(folder / CARD, card_of(config))
        _write_text(folder / CONFIG, json.dumps(config, indent=2, default=str) + "\n")


def _graphs(
    network: Network, formats: Sequence[Format], folder: Path, say: Callable[[str], None]
) -> list[Graph]:
    if formats and not network.calls:
        say(f"{network.name}: not written; {IN_PARTS}")
    graphs = []
    for function in functions_of(network) if formats and network.calls else ():
        say(f"{function.name}: writing")
        graphs.append(write_graph(function, formats, folder))
        say(graphs[-1].words())
    return graphs


def _write_picture(model: TrainedModel, folder: Path, say: Callable[[str], None]) -> None:
    if not model.can(Samples):
        return
    say(f"{PICTURE}.png: the first samples")
    picture = model.picture()
    assert picture is not None
    path = save_array(picture, folder / PICTURE)
    with Image.open(path) as found:
        _require(bool((np.asarray(found) == picture).all()), path)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _require(path.read_text(encoding="utf-8") == text, path)


def _require(same: bool, path: Path) -> None:
    if not same:
        raise RunError(f"{path.name} does not hold what was written", help=["is the disk in order?"])
