"""The flow goes both ways to float tolerance, and its log-determinants are those of autograd's Jacobian."""

from __future__ import annotations

import math
from pathlib import Path

import pluglab
import pytest
import torch
from pluglab.testing import Subject, components, faults

from pluglab_realnvp.realnvp import Flow, from_logits, to_logits

SMALL = {"trainer/realnvp": {"couplings": 2, "width": 4}, "evaluator/bits_per_dim": {"images": 8}}


@pytest.mark.parametrize("component", components("pluglab-realnvp", options=SMALL), ids=str)
def test_nothing_is_wrong_with(component: Subject) -> None:
    assert faults(component) == []


@pytest.fixture
def flow() -> Flow:
    """A flow of float64 that is not the identity, as a new one is."""
    torch.manual_seed(0)
    flow = Flow((2, 4, 3), couplings=4, width=8).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return flow


def test_it_goes_back_where_it_came_from(flow: Flow) -> None:
    x = torch.randn(5, 2, 4, 3, dtype=torch.float64)
    z, there = flow(x)
    again, back = flow(z, reverse=True)
    assert (z - x).abs().max() > 0.1
    torch.testing.assert_close(again, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(back, -there, rtol=1e-12, atol=1e-12)


def test_in_float32_to_its_tolerance(flow: Flow) -> None:
    x = torch.randn(5, 2, 4, 3)
    z, _ = flow.float()(x)
    torch.testing.assert_close(flow(z, reverse=True)[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_log_determinants_are_those_of_the_jacobian(flow: Flow, reverse: bool) -> None:
    x = torch.randn(3, 2, 4, 3, dtype=torch.float64)
    _, log_det = flow(x, reverse=reverse)
    for one, value in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda v: flow(v.view(1, 2, 4, 3), reverse=reverse)[0].flatten(), one.flatten()
        )
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, value)


def test_logits_go_back_and_their_slope_is_that_of_autograd() -> None:
    values = torch.linspace(0, 1, 7, dtype=torch.float64).view(1, 1, 1, 7).requires_grad_()
    logits, log_det = to_logits(values)
    torch.testing.assert_close(from_logits(logits), values)
    (slopes,) = torch.autograd.grad(logits.sum(), values)
    torch.testing.assert_close(log_det, slopes.log().sum().view(1))


def test_the_likelihood_of_a_flow_that_does_nothing_is_known() -> None:
    """-log2 P = D log2 256 - log2 of the density of logits, the noise being that of the generator."""
    spec = pluglab.ImageSpec(1, 4, 4, count=1)
    trainer = pluglab.component("trainer", "realnvp", couplings=2, width=4).build({"train": spec})
    images = torch.full((1, 1, 4, 4), -1.0)  # level 0
    noise = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    values = 0.05 + 0.9 * noise / 256
    logits = torch.special.logit(values)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(logits) + (0.9 / (values * (1 - values))).log()
    expected = density.sum() - 16 * math.log(256)
    found = trainer.log_prob(images, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, expected.view(1))


def test_images_have_the_levels_that_they_were_said_to_have() -> None:
    """So what is sampled can be scored: level 0 is black, the last is white."""
    spec = pluglab.ImageSpec(1, 4, 4, count=1)
    trainer = pluglab.component("trainer", "realnvp", levels=3, couplings=2).build({"train": spec})
    images = trainer.sample(8, None, torch.Generator().manual_seed(0))
    assert images.unique().tolist() == [-1, 0, 1]
    levels = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(-1, 1, 4, 4)
    middle, _ = to_logits(torch.tensor([1, 3, 5]).view(3, 1, 1, 1).expand(-1, 1, 4, 4) / 6)
    torch.testing.assert_close(trainer.generate(middle, None), levels)


def test_it_learns_and_its_recipe_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits of a value fall below those of no model, log2 17, and what was not trained on is known as well."""
    monkeypatch.chdir(tmp_path)
    runs = pluglab.run(
        "realnvp_digits",
        steps=40,
        trainer={"couplings": 4, "width": 16},
        evaluate=["bits_per_dim", "sample_grid"],
        run={"threads": 1, "precision": "32"},
    )
    bits = runs.scalars
    assert set(bits) == {"bits_per_dim/train/test", "bits_per_dim/train/train"}
    assert bits["bits_per_dim/train/test"] < math.log2(17)  # 5.4 at first
    assert abs(bits["bits_per_dim/train/test"] - bits["bits_per_dim/train/train"]) < 0.2
    assert runs.figures()["sample_grid_samples"].is_file()
