from __future__ import annotations

import math

import pytest
import torch

from pluglab_diffusion.prediction import image_of, min_snr_weight, noised, target
from pluglab_diffusion.process import DiscreteProcess

from .conftest import schedule

PREDICTIONS = ["epsilon", "x0", "v"]


def test_diffusers_adds_the_same_noise_and_has_the_same_velocity(registry, goldens):
    golden = {key: torch.tensor(value) for key, value in goldens["forward"].items()}
    alpha, sigma = DiscreteProcess(schedule(registry, "cosine")).at(golden["t"])
    x0, noise = golden["x0"], golden["noise"]
    torch.testing.assert_close(noised(x0, noise, alpha, sigma), golden["noised"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(target("v", x0, noise, alpha, sigma), golden["velocity"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_perfect_prediction_gives_the_image_back(registry, kind):
    x0, noise = torch.randn(2, 50, 1, 4, 4, dtype=torch.float64)
    process = DiscreteProcess(schedule(registry, "cosine", 50))
    alpha, sigma = process.at(torch.arange(50))
    x = noised(x0, noise, alpha, sigma)
    found = image_of(kind, target(kind, x0, noise, alpha, sigma), x, alpha, sigma)
    torch.testing.assert_close(found[:-1], x0[:-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_min_snr_weights_make_one_loss_of_all_predictions(kind):
    """An error d of the image is alpha d / sigma of the noise and d / sigma of v, so the weighted squares
    must be min(SNR, gamma) d^2 for all three (Hang et al. 2023, section 3.4)."""
    alpha = torch.linspace(0.05, 0.99, 30, dtype=torch.float64)
    sigma = (1 - alpha**2).sqrt()
    snr, d = (alpha / sigma) ** 2, 0.3
    error = {"epsilon": alpha * d / sigma, "x0": torch.full_like(alpha, d), "v": d / sigma}[kind]
    torch.testing.assert_close(min_snr_weight(kind, snr, 5.0) * error**2, snr.clamp(max=5) * d**2)


def test_snr_is_the_ratio_of_the_variances(registry):
    process = DiscreteProcess(schedule(registry, "linear", 20))
    alpha, sigma = process.at(torch.tensor([7]))
    assert math.isclose(process.snr[7].item(), (alpha / sigma).item() ** 2, rel_tol=1e-5)
