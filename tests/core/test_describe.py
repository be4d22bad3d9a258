"""Layer tables: hand counts, exact totals, and a training state that nothing has touched."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pluglab.cli.networks import Layer, Network, as_json, as_text, describe
from pluglab.errors import RunError


class Holder:
    """A trainer that is nothing but its networks."""

    def __init__(self, **networks: tuple[nn.Module, tuple[Tensor, ...]]) -> None:
        self._networks = networks

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return self._networks


def described(module: nn.Module, *inputs: Tensor) -> Network:
    (network,) = describe(Holder(net=(module, inputs)))
    assert network.parameters == sum(item.numel() for item in module.parameters())
    return network


def small_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10)
    )


def test_a_small_cnn_against_hand_counts() -> None:
    network = described(small_cnn(), torch.zeros(2, 3, 4, 4))
    assert [(layer.name, layer.type, layer.outputs, layer.parameters) for layer in network.layers] == [
        ("0", "Conv2d", ((2, 8, 4, 4),), 3 * 8 * 9 + 8),
        ("1", "BatchNorm2d", ((2, 8, 4, 4),), 16),
        ("2", "ReLU", ((2, 8, 4, 4),), 0),
        ("3", "Flatten", ((2, 128),), 0),
        ("4", "Linear", ((2, 10),), 1290),
    ]
    assert network.parameters == network.trainable == 224 + 16 + 1290
    assert network.inputs == ((2, 3, 4, 4),)


class Sharing(nn.Module):
    """A parameter of its own, one layer under two names and called three times, tied and unused weights."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))
        self.first = nn.Linear(4, 4)
        self.again = self.first
        self.up = nn.Linear(4, 6, bias=False)
        self.down = nn.Linear(6, 4)
        self.down.weight = nn.Parameter(torch.zeros(4, 6))
        self.tied = nn.Linear(4, 6, bias=False)
        self.tied.weight = self.up.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.first(self.again(self.first(x)))
        hidden = self.up(x) + self.tied(x)
        return self.down(hidden), {"sum": hidden.sum() * self.scale.sum()}


def test_shared_modules_and_tied_weights_count_once() -> None:
    network = described(Sharing(), torch.zeros(1, 4))
    counts = {layer.name: (layer.parameters, layer.calls) for layer in network.layers}
    assert counts == {
        "": (5, 1),
        "first": (20, 3),
        "up": (24, 1),
        "down": (28, 1),
        "tied": (0, 1),
        "unused": (6, 0),
    }
    assert network.layers[0].outputs == ((1, 4), ())
    assert network.layers[-1].outputs == ()


def test_a_spectrally_normalized_layer_is_one_layer() -> None:
    network = described(nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3)), nn.ReLU()), torch.zeros(1, 3, 5, 5))
    assert [(layer.type, layer.parameters) for layer in network.layers] == [("Conv2d", 112), ("ReLU", 0)]


def test_frozen_parameters_are_not_trainable() -> None:
    model = small_cnn()
    model[0].requires_grad_(False)
    network = described(model, torch.zeros(1, 3, 4, 4))
    assert network.parameters - network.trainable == 224
    assert "224 of them frozen" in as_text([network])


def test_nothing_of_the_training_state_changes() -> None:
    model = nn.Sequential(small_cnn(), spectral_norm(nn.Linear(10, 10)), nn.Dropout())
    model[0][1].eval()
    modes = [part.training for part in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    described(model, torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(part._forward_hooks for part in model.modules())


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def test_a_network_that_draws_noise_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    described(Noisy(), torch.zeros(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_set_up_by_fabric_has_the_names_of_its_own_layers() -> None:
    model = Fabric(accelerator="cpu", devices=1).setup_module(small_cnn())
    network = described(model, torch.zeros(1, 3, 4, 4))
    assert [layer.name for layer in network.layers] == ["0", "1", "2", "3", "4"]


def test_wrong_example_inputs_are_explained_and_leave_no_hooks() -> None:
    model = small_cnn()
    with pytest.raises(RunError, match=r"network 'net' cannot run on example inputs 1 x 1 x 4 x 4"):
        describe(Holder(net=(model, (torch.zeros(1, 1, 4, 4),))))
    assert model.training and not any(part._forward_hooks for part in model.modules())


def test_json_and_text_hold_the_same_numbers() -> None:
    networks = describe(
        Holder(
            encoder=(small_cnn(), (torch.zeros(1, 3, 4, 4),)), head=(nn.Linear(10, 2), (torch.zeros(1, 10),))
        )
    )
    found = json.loads(json.dumps(as_json(networks)))
    assert [(n["name"], n["parameters"]) for n in found] == [("encoder", 1530), ("head", 22)]
    assert found[0]["layers"][4]["outputs"] == [[1, 10]]
    text = as_text(networks)
    assert "encoder: 1,530 parameters" in text and "1 x 8 x 4 x 4" in text and "head: 22 parameters" in text
    assert text.isascii()
    assert "\x1b[" in as_text(networks, terminal=True)


@pytest.mark.parametrize("width", [110, 80, 60, 40])
def test_a_table_fits_the_terminal_and_nothing_in_it_is_cut(width: int) -> None:
    names = "the_first_of_several.blocks.0.convolution", "[red]"
    layers = [
        Layer(name, "ParametrizedConv2d", ((2, 512, 32, 32), (2, 512)), 1, 2_359_808, 0) for name in names
    ]
    text = as_text([Network("[bold]", ((2, 3, 32, 32),), layers)], width=width)
    assert "…" not in text and max(map(len, text.splitlines())) <= max(width, len(names[0]) + 4)
    assert "[bold]  <-  2 x 3 x 32 x 32" in text
    for value in (*names, "ParametrizedConv2d", "2,359,808"):
        assert text.count(value) >= (1 if value in names else 2)
