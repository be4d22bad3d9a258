"""What has no second derivative: compiled networks, and fused attention. Penalties do without them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo import lookup_backend

from pluglab.engine import hardware
from pluglab.engine.hardware import Hardware, LabFabric, compile_whole
from pluglab.recipe.resolve import make
from pluglab.training import attention, set_mode

from .conftest import spec_of, train

PENALIZED: dict[str, dict[str, Any]] = {
    "dcgan": {"r1": 1.0, "penalty_every": 2, "width": 8},
    "sagan": {"r1": 1.0, "penalty_every": 2, "width": 8},
    "sngan": {"gradient_penalty": 10.0, "penalty_every": 2, "width": 8},
    "r3gan": {"penalty_every": 2, "width": 8},
    "stylegan2_lite": {
        "path_length_every": 2,
        "penalty_every": 2,
        "width": 2,
        "latent_size": 8,
        "mapping_depth": 2,
        "attention_heads": 1,
    },
}


def trained(registry: Any, name: str, steps: range, *, compiled: bool) -> tuple[Any, dict[str, torch.Tensor]]:
    """A trainer after these steps, the first and every second penalized; what the last logged."""
    torch.manual_seed(0)
    size = 32 if name == "stylegan2_lite" else 16
    trainer = make(registry, "trainer", name, **PENALIZED[name]).build({"train": spec_of(size)})
    trainer.setup(LabFabric(Hardware("cpu", 1, "32", False, compiled, 1, "")))
    set_mode(trainer, "train")
    return trainer, train(trainer, steps.start, steps.stop, 4, n=4, size=size)


@pytest.fixture
def graphs(monkeypatch):
    """The graphs so far. Networks are compiled as for training, only not to machine code."""
    torch._dynamo.reset()
    found: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        found.append(graph)
        return lookup_backend("aot_eager_decomp_partition")(graph, inputs)

    monkeypatch.setattr(hardware, "compile_whole", lambda module: compile_whole(module, backend=backend))
    yield found
    torch._dynamo.reset()


COMPILES_LONG = "sagan", "r3gan", "stylegan2_lite"
MARKED = [pytest.param(name, marks=[pytest.mark.slow] * (name in COMPILES_LONG)) for name in PENALIZED]


@pytest.mark.parametrize("name", MARKED)
def test_compiled_networks_are_penalized_as_others_are(registry, graphs, name):
    _, found = trained(registry, name, range(2), compiled=True)
    assert len(graphs) >= 2  # of G, and of D in the step without a penalty
    _, expected = trained(registry, name, range(2), compiled=False)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient_penalty"])
def test_penalized_images_pass_through_no_fused_attention(registry, monkeypatch, penalty):
    """Fused kernels are off around what is differentiated twice, and on around all else."""
    monkeypatch.setattr(attention, "WRITTEN_OUT", -1)
    monkeypatch.setitem(PENALIZED, "sagan", {penalty: 1.0, "penalty_every": 2, "width": 8})
    trainer, _ = trained(registry, "sagan", range(1), compiled=False)
    on: list[bool] = []
    trainer.discriminator.register_forward_pre_hook(
        lambda *_: on.append(torch.backends.cuda.mem_efficient_sdp_enabled())
    )
    train(trainer, 1, 2, 4)
    assert on == [True, True]  # real and generated images, which pass together; then those of G
    on.clear()
    train(trainer, 2, 3, 4)
    between = [True, False, True]
    assert on == (between if penalty == "gradient_penalty" else [False, False, True])
