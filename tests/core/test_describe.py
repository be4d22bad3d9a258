"""Layer tables: hand counts, exact totals, and a training state that nothing has touched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pluglab.architecture.describing import describe, nested
from pluglab.architecture.networks import Architecture, Layer, Memory, Network
from pluglab.architecture.text import nested as nested_text
from pluglab.architecture.text import tables
from pluglab.errors import RunError
from tests.core.support import TOYS, Lab, only_run


class Holder:
    """A trainer that is nothing but its networks."""

    def __init__(self, **networks: tuple[nn.Module, tuple[Tensor, ...]]) -> None:
        self._networks = networks

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return self._networks


def described(module: nn.Module, *inputs: Tensor, batch_size: int = 1) -> Network:
    (network,) = describe(Holder(net=(module, inputs)), batch_size).networks
    assert network.parameters == sum(item.numel() for item in module.parameters())
    return network


def small_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10)
    )


def test_a_small_cnn_against_hand_counts() -> None:
    network = described(small_cnn(), torch.zeros(2, 3, 4, 4))
    found = [(layer.name, layer.type, layer.outputs, layer.parameters) for layer in network.layers]
    assert found == [
        ("0", "Conv2d", (("N", 8, 4, 4),), 3 * 8 * 9 + 8),
        ("1", "BatchNorm2d", (("N", 8, 4, 4),), 16),
        ("2", "ReLU", (("N", 8, 4, 4),), 0),
        ("3", "Flatten", (("N", 128),), 0),
        ("4", "Linear", (("N", 10),), 1290),
    ]
    assert network.parameters == network.trainable == 224 + 16 + 1290
    assert network.inputs == (("N", 3, 4, 4),)


def test_arguments_are_those_that_print_shows() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(100, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8, eps=0.8, momentum=0.2),
        nn.LeakyReLU(0.2),
        nn.Dropout2d(0.25),
    )
    assert [layer.arguments for layer in described(model, torch.zeros(1, 100, 1, 1)).layers] == [
        part.extra_repr() for part in model
    ]
    assert "kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False" in nested(model)
    assert nested(model) == repr(model)
    assert nested(nn.Sequential(model, nn.Tanh())) == repr(nn.Sequential(model, nn.Tanh()))


def test_memory_is_that_of_torchsummary() -> None:
    """Counted by hand as torchsummary 1.5.1 does: outputs twice, 4 bytes a number."""
    network = described(small_cnn(), torch.zeros(2, 3, 4, 4), batch_size=7)
    outputs = 3 * 8 * 4 * 4 + 128 + 10
    assert network.memory == Memory(4 * 7 * 3 * 4 * 4, 4 * 7 * outputs, 4 * 1530)
    assert network.memory.total == 4 * (7 * (48 + 2 * outputs) + 1530)


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


def test_shared_modules_and_tied_weights_count_once_and_are_shown_twice() -> None:
    network = described(Sharing(), torch.zeros(1, 4))
    counts = {layer.name: (layer.parameters, layer.calls, layer.shares) for layer in network.layers}
    assert counts == {
        "": (5, 1, None),
        "first": (20, 3, None),
        "again": (0, 0, "first"),
        "up": (24, 1, None),
        "down": (28, 1, None),
        "tied": (0, 1, None),
        "unused": (6, 0, None),
    }
    assert network.layers[0].outputs == (("N", 4), ())
    assert network.layers[-1].outputs == ()


def test_a_layer_used_in_two_places_has_the_output_of_each() -> None:
    drop = nn.Dropout(0.3)
    network = described(nn.Sequential(drop, nn.Linear(4, 6), drop), torch.zeros(2, 4))
    assert [(layer.name, layer.outputs, layer.calls, layer.shares) for layer in network.layers] == [
        ("0", (("N", 4),), 1, None),
        ("1", (("N", 6),), 1, None),
        ("2", (("N", 6),), 1, "0"),
    ]


def test_a_block_that_is_met_again_is_one_row() -> None:
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    network = described(nn.Sequential(block, block), torch.zeros(2, 4))
    found = [(layer.name, layer.type, layer.parameters, layer.shares) for layer in network.layers]
    assert found == [("0.0", "Linear", 20, None), ("0.1", "ReLU", 0, None), ("1", "Sequential", 0, "0")]


def test_a_spectrally_normalized_layer_is_one_layer_that_says_so() -> None:
    network = described(nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3)), nn.ReLU()), torch.zeros(1, 3, 5, 5))
    assert [(layer.type, layer.parameters) for layer in network.layers] == [("Conv2d", 112), ("ReLU", 0)]
    assert network.layers[0].arguments == "3, 4, kernel_size=(3, 3), stride=(1, 1), spectral norm"
    assert network.printed.splitlines()[1] == f"  (0): Conv2d({network.layers[0].arguments})"


class Regrouping(nn.Module):
    """Has a constant, puts halves of images into the batch, and takes the batch into the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.halves, self.joined = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.constant(torch.zeros(2, 5))
        self.halves(x.reshape(-1, 2))
        return self.joined(x.reshape(1, -1, 4))


def test_what_grows_with_the_batch_is_measured_and_not_guessed() -> None:
    network = described(Regrouping(), torch.zeros(2, 3, 4), batch_size=10)
    outputs = [layer.outputs for layer in network.layers]
    assert outputs == [((2, 5),), (("6N", 2),), ((1, "3N", 4),)]
    assert network.memory.outputs == 4 * (2 * 5 + 10 * 6 * 2 + 10 * 3 * 4)


class OfThisSize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, 6)


def test_sizes_are_stated_where_no_other_batch_is_taken() -> None:
    (layer,) = described(OfThisSize(), torch.zeros(2, 3, 2)).layers
    assert layer.outputs == ((2, 6),)


def test_frozen_parameters_are_not_trainable() -> None:
    model = small_cnn()
    model[0].requires_grad_(False)
    network = described(model, torch.zeros(1, 3, 4, 4))
    assert network.parameters - network.trainable == 224
    text = tables(Architecture((network,), 1))
    assert "net: 1,530 parameters, 1,306 trainable, 224 frozen" in text


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
    """Draws noise, counts its calls, and asks for numbers, which a copy without them does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.drop(x + torch.randn_like(x) * x.sum().item())


def test_a_network_that_needs_numbers_is_run_and_left_as_it_was() -> None:
    before, model = torch.get_rng_state(), Noisy()
    (layer,) = described(model, torch.zeros(3, 5)).layers
    assert (layer.name, layer.outputs) == ("drop", (("N", 5),))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.calls == 0 and model.training and model.drop.training
    assert not model.drop._forward_hooks


def test_a_network_set_up_by_fabric_has_the_names_of_its_own_layers() -> None:
    model = Fabric(accelerator="cpu", devices=1).setup_module(small_cnn())
    network = described(model, torch.zeros(1, 3, 4, 4))
    assert [layer.name for layer in network.layers] == ["0", "1", "2", "3", "4"]


def test_wrong_example_inputs_are_explained_and_leave_no_hooks() -> None:
    model = small_cnn()
    with pytest.raises(RunError, match=r"network 'net' cannot run on example inputs 1 x 1 x 4 x 4"):
        describe(Holder(net=(model, (torch.zeros(1, 1, 4, 4),))))
    assert model.training and not any(part._forward_hooks for part in model.modules())


def two_networks() -> Architecture:
    head = nn.Linear(10, 2).requires_grad_(False)
    return describe(
        Holder(encoder=(small_cnn(), (torch.zeros(1, 3, 4, 4),)), head=(head, (torch.zeros(1, 10),))), 64
    )


def test_plain_values_and_text_hold_the_same_numbers() -> None:
    networks = two_networks()
    found = json.loads(json.dumps(networks.plain()))
    assert Architecture.of(found) == networks
    assert [(n["name"], n["parameters"], n["frozen"]) for n in found["networks"]] == [
        ("encoder", 1530, 0),
        ("head", 22, 22),
    ]
    assert (found["parameters"], found["trainable"], found["frozen"]) == (1552, 1530, 22)
    assert found["networks"][0]["layers"][4]["outputs"] == [["N", 10]]
    assert found["networks"][0]["memory"]["total"] == networks.networks[0].memory.total
    text = tables(networks)
    assert "encoder: 1,530 parameters, all trainable" in text and "N x 8 x 4 x 4" in text
    assert "all 2 networks: 1,552 parameters, 1,530 trainable, 22 frozen" in text
    assert "batch size 64" in " ".join(text.split())
    assert nested_text(networks).splitlines()[0] == "encoder: Sequential("


def test_of_a_trainer_that_lists_none_the_networks_that_it_holds() -> None:
    class Silent:
        def __init__(self) -> None:
            self.net = small_cnn()

    (network,) = describe(Silent()).networks
    assert (network.name, network.parameters, network.memory.outputs) == ("net", 1530, 0)
    assert {(layer.calls, layer.outputs) for layer in network.layers} == {(0, ())}


@pytest.mark.parametrize("width", [110, 80, 60, 40])
def test_a_table_fits_the_terminal_and_nothing_in_it_is_cut(width: int) -> None:
    names = "the_first_of_several.blocks.0.convolution", "[red]"
    arguments = "512, 512, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)"
    layers = tuple(
        Layer(name, "Conv2d", arguments, (("N", 512, 32, 32), ("N", 512)), 1, 2_359_808, 0) for name in names
    )
    network = Network("[bold]", "Net", (("N", 3, 32, 32),), layers, "Net()", Memory(0, 0, 0))
    text = tables(Architecture((network,), 1), width)
    assert "…" not in text and max(map(len, text.splitlines())) <= max(width, len(names[0]) + 4)
    assert "[bold]  <-  N x 3 x 32 x 32" in text
    for value in (*names, "kernel_size=(3,", "2,359,808"):
        assert text.count(value) >= (1 if value in names else 2)


# In run folders ----------------------------------------------------------------------------------------


def test_a_run_records_its_networks_once(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe) == 0
    run = only_run()
    recorded = json.loads((run / "architecture.json").read_text())
    assert (recorded["parameters"], recorded["networks"][0]["layers"][0]["type"]) == (114, "Conv2d")
    assert "net: 114 parameters" in (run / "architecture.txt").read_text()
    capsys.readouterr()
    assert lab("describe", run, "--json", toys=False) == 0
    assert json.loads(capsys.readouterr().out) == {"toy": recorded}
    assert lab("describe", run, "--as-print", toys=False) == 0
    assert "(0): Conv2d(1, 8, kernel_size=(3, 3)" in capsys.readouterr().out


def test_a_run_is_described_without_torch(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe) == 0
    code = f"import sys, pluglab.cli\ntry: pluglab.cli.main(['describe', {str(only_run())!r}])\n"
    code += "finally: sys.exit(int('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "net: 114 parameters" in done.stdout, done.stderr


def test_a_resume_leaves_the_record_as_it_is(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "trainer.bad_step=30") == 1
    run = only_run()
    (run / "architecture.json").write_text("{}")
    assert lab("resume", run, "--set", "trainer.bad_step=1000") == 0
    assert (run / "architecture.json").read_text() == "{}"


def test_a_trainer_whose_networks_cannot_run_is_trained(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.py").write_text(TOYS.read_text().replace("torch.zeros(2, 1, 8, 8)", "torch.zeros(2, 5, 8, 8)"))
    assert lab("run", recipe, "--plugin", "odd.py", toys=False) == 0
    assert not (only_run() / "architecture.json").exists()
    told = " ".join(capsys.readouterr().err.split())
    assert "the run's networks are not recorded: network 'net' cannot run on example inputs" in told


def test_asking_a_run_what_it_does_not_hold(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe) == 0
    for words, told in (
        (("--variant", "toi"), "did you mean 'toy'?"),
        (("--set", "trainer.width=3"), "give its recipe.toml"),
    ):
        assert lab("describe", only_run(), *words) == 2
        assert told in capsys.readouterr().err
    (only_run() / "architecture.json").unlink()
    assert lab("describe", only_run()) == 2
    assert "has no record of its networks" in capsys.readouterr().err
