"""Options that make the first-party components small, and those that some must be given."""

from __future__ import annotations

from typing import Any

UNET = {"name": "unet", "channels": [8, 16], "blocks": [1, 1]}
DIFFUSION: dict[str, Any] = {"denoiser": UNET, "sampling": {"steps": 2}}
SMALL_GAN: dict[str, Any] = {"width": 8, "latent_size": 8}
SMALL_ENCODER: dict[str, Any] = {"encoder": "lenet"}
ADAPTATION = "adabn", "cdan", "dann", "deep_coral", "mcd", "pada", "source_only", "target_only"

OPTIONS: dict[str, dict[str, Any]] = {
    "trainer/ddpm": DIFFUSION,
    "trainer/edm": DIFFUSION,
    "trainer/flow_matching": DIFFUSION,
    "trainer/acgan": SMALL_GAN,
    "trainer/dcgan": SMALL_GAN,
    "trainer/sagan": SMALL_GAN,
    "trainer/sngan": SMALL_GAN,
    "trainer/stylegan2_lite": {"width": 2, "latent_size": 8},
    "trainer/r3gan": {"width": 8, "largest_width": 8, "group_size": 8, "latent_size": 8},
    "trainer/projection_gan": SMALL_GAN,
    "trainer/vae": {"latent_size": 8},
    **{f"trainer/{name}": SMALL_ENCODER for name in ADAPTATION},
    "launcher/slurm": {"cluster": "local"},
    "evaluator/sampled_with": {"evaluator": "sample_grid"},
    "evaluator/translated": {"evaluator": "sample_grid"},
    "evaluator/importance_weighted_likelihood": {"samples": 4, "images": 8},
}
