"""Learning rates and norms of gradients, as they are logged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pluglab.cli import main
from pluglab.storage.run_folder import RunFolder
from pluglab.training.accumulation import Accumulation
from pluglab.training.trainer import learning_rates, modules_of
from tests.core.support import only_run

from .conftest import tensors, train
from .test_precision import norm_of

PLAIN = {"name": "plain_sgd", "lr": 0.1}


def test_each_optimizer_has_its_rate(build):
    trainer = build("sngan", generator_optimizer=PLAIN, discriminator_optimizer={**PLAIN, "lr": 0.2})
    assert learning_rates(trainer) == {"lr/generator": 0.1, "lr/discriminator": 0.2}
    groups = trainer.generator_optimizer.param_groups
    groups += [{**groups[0], "lr": 0.05}, {**groups[0]}]
    assert learning_rates(trainer)["lr/generator/1"] == 0.05
    assert "lr/generator/2" not in learning_rates(trainer)
    assert learning_rates(build("dann", optimizer=PLAIN)) == {"lr/optimizer": 0.1}
    assert learning_rates(SimpleNamespace()) == {}


@pytest.mark.parametrize("precision", ["32", "fp16"])
@pytest.mark.parametrize("bound", [None, 0.01])
def test_the_norm_is_that_of_the_gradient_before_it_is_clipped(build, precision, bound):
    """And asking for it changes no weight."""
    logged, silent = (build("dann", precision=precision, optimizer=PLAIN) for _ in range(2))
    norms = {}
    logged.fabric.accumulation = Accumulation(max_grad_norm=bound, norms=norms)
    silent.fabric.accumulation = Accumulation(max_grad_norm=bound)
    for trainer in (logged, silent):
        train(trainer, 0, 1)
    own, other = (tensors({k: m.state_dict() for k, m in modules_of(t).items()}) for t in (logged, silent))
    assert all(torch.equal(value, other[name]) for name, value in own.items()) and own
    (name, norm), *none = norms.items()
    assert name == "gradient_norm/optimizer" and not none
    scale = 1 if bound is None else norm.item() / bound
    assert norm.item() == pytest.approx(norm_of(logged.optimizer) * scale, rel=1e-3)


RECIPE = """
steps = 4
batch_size = 8
log_every = 2
trainer = { name = "source_only", schedule = "inverse_decay" }
[data.source]
name = "digits"
size = 16
[run]
threads = 1
"""


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_logs_rates_always_and_norms_when_asked(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_text(RECIPE)
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["run", "r.toml", "--set", f"run.gradient_norms={str(asked).lower()}"])
    events = [e["scalars"] for e in RunFolder(only_run()).history.events() if e["type"] == "step"]
    rates = [event["lr/optimizer"] for event in events]
    assert len(rates) == 2 and 0 < rates[1] < rates[0]
    assert all(("gradient_norm/optimizer" in event) is asked for event in events)
    assert not asked or all(event["gradient_norm/optimizer"] > 0 for event in events)
