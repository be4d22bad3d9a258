"""What was exported computes what the model does, without pluglab: ONNX files, and weights by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import pluglab
from tests.export.conftest import TRAINERS, Trained, config_in

Exported = Callable[[str], Path]
CALLED = {
    "dcgan": {"generator": "averaged"},
    "sngan": {"generator": "averaged"},
    "acgan": {"generator": "averaged", "discriminator": "trained"},
    "stylegan2_lite": {"generator": "averaged"},
    "ddpm": {"denoiser": "averaged"},
    "vae": {"encoder": "trained", "decoder": "trained"},
    "source_only": {"features": "trained", "classifier": "trained"},
    "dann": {"features": "trained", "classifier": "trained"},
    "dsn": dict.fromkeys(
        ("features", "classifier", "source_features", "target_features", "decoder"), "trained"
    ),
    "adda": dict.fromkeys(("features", "classifier", "target_features"), "trained"),
}


def onnx(file: Path, **inputs: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return [torch.from_numpy(array) for array in found]


def model_of(run: Path) -> Any:
    return pluglab.load(run, run={"precision": "32", "device": "cpu"})


@pytest.mark.parametrize("name", TRAINERS)
def test_the_networks_that_are_called_are_exported_and_checked(name: str, exported: Exported) -> None:
    folder = exported(name)
    networks = config_in(folder)["networks"]
    assert {key: network["weights"] for key, network in networks.items()} == CALLED[name]
    tensors = load_file(folder / "model.safetensors")
    assert {key.partition(".")[0] for key in tensors} == set(CALLED[name])
    for network in networks.values():
        for graph in network["graphs"]:
            assert graph["format"] == "onnx" and graph["reasons"] == []
            assert graph["checked_with_images"] == [2, 5, 1]
            assert graph["largest_difference"] <= 1e-4 * graph["largest_value"]
            assert (folder / graph["file"]).is_file()
            assert all("batch" in of["shape"] for of in graph["inputs"].values())


@pytest.mark.parametrize("name", ["dcgan", "sngan", "acgan"])
def test_a_generator_draws_the_same_images(name: str, trained: Trained, exported: Exported) -> None:
    trainer = model_of(trained(name)).trainer
    latents = torch.randn(7, trainer.config.latent_size)
    labels = torch.arange(7) if name == "acgan" else None
    (graph,) = config_in(exported(name))["networks"]["generator"]["graphs"]
    named = dict(zip(graph["inputs"], (latents, labels), strict=False))
    (made,) = onnx(exported(name) / "generator.onnx", **named)
    with torch.no_grad():
        torch.testing.assert_close(made, trainer.generate(latents, labels), atol=1e-5, rtol=1e-4)


def test_a_style_based_generator_takes_its_noise(trained: Trained, exported: Exported) -> None:
    trainer = model_of(trained("stylegan2_lite")).trainer
    (graph,) = config_in(exported("stylegan2_lite"))["networks"]["generator"]["graphs"]
    assert graph["fixed"] == {"psi": 1.0}
    z, noise = torch.randn(3, 16), [torch.randn(3, 2, side, side) for side in (4, 8, 16, 32)]
    named = {f"noise_{i}": one for i, one in enumerate(noise)}
    (made,) = onnx(exported("stylegan2_lite") / "generator.onnx", z=z, **named)
    torch.testing.assert_close(made, trainer.ema(z, None, noise), atol=1e-3, rtol=1e-3)


def test_a_denoiser_knows_times_and_labels(trained: Trained, exported: Exported) -> None:
    trainer = model_of(trained("ddpm")).trainer
    x, t, labels = torch.randn(4, 1, 16, 16), torch.tensor([0, 10, 500, 999]), torch.tensor([3, 0, 9, 1])
    (made,) = onnx(exported("ddpm") / "denoiser.onnx", x=x, t=t, labels=labels)
    torch.testing.assert_close(made, trainer.ema(x, t, labels), atol=1e-5, rtol=1e-4)
    other = onnx(exported("ddpm") / "denoiser.onnx", x=x, t=t, labels=labels.flip(0))[0]
    assert not torch.equal(made, other)


def test_an_autoencoder(trained: Trained, exported: Exported) -> None:
    model, folder = model_of(trained("vae")), exported("vae")
    pixels = torch.randint(256, (6, 1, 16, 16), dtype=torch.uint8)
    mean, _ = onnx(folder / "encoder.onnx", images=pixels.float() * 2 / 255 - 1)
    torch.testing.assert_close(mean, model.embed(pixels), atol=1e-5, rtol=1e-4)
    drawn = onnx(folder / "decoder.onnx", latents=mean)[0]
    rebuilt = (drawn * 255).round().clamp(0, 255)  # of values in [0, 1]
    assert (rebuilt - model.reconstruct(pixels)["reconstruction"].float()).abs().max() <= 1


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_network_for_each_domain(role: str, trained: Trained, exported: Exported) -> None:
    model, folder = model_of(trained("dann")), exported("dann")
    pixels = torch.randint(256, (6, 3, 28, 28), dtype=torch.uint8)
    graphs = config_in(folder)["networks"]["features"]["graphs"]
    assert [graph["fixed"] for graph in graphs] == [{"role": "source"}, {"role": "target"}]
    (features,) = onnx(folder / f"features.{role}.onnx", inputs=pixels.float() * 2 / 255 - 1)
    torch.testing.assert_close(features, model.embed(pixels, role), atol=1e-5, rtol=1e-4)
    classifier = next(
        file for file in (f"classifier.{role}.onnx", "classifier.onnx") if (folder / file).exists()
    )
    (logits,) = onnx(folder / classifier, inputs=features)
    torch.testing.assert_close(logits.softmax(1), model.predict(pixels, role), atol=1e-5, rtol=1e-4)


def test_the_weights_are_the_averages(trained: Trained, exported: Exported) -> None:
    trainer = model_of(trained("dcgan")).trainer
    tensors = load_file(exported("dcgan") / "model.safetensors")
    averages = {f"generator.{key}": value for key, value in trainer.ema.state_dict().items()}
    assert tensors.keys() == averages.keys()
    assert all(torch.equal(tensors[key], averages[key]) for key in tensors)
    raw = trainer.generator.module.state_dict()
    assert any(not torch.equal(tensors[f"generator.{key}"], raw[key]) for key in raw)


def test_files_name_nothing_of_this_machine(exported: Exported) -> None:
    here = str(Path(pluglab.__file__).parents[3]).encode()
    assert not [p.name for p in exported("dann").iterdir() if here in p.read_bytes()]


def test_inputs_of_any_size_are_free(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported("dcgan") / "generator.onnx")
    (given,) = session.get_inputs()
    assert given.shape[0] == "batch"
    for n in (1, 3, 64):
        (made,) = session.run(None, {given.name: np.zeros((n, given.shape[1]), np.float32)})
        assert made.shape == (n, 1, 16, 16)
