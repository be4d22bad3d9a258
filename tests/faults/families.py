"""A tiny run of each family, on digits that come along: every kind of state, of file and of evaluation."""

from __future__ import annotations

STEPS = 24
RECIPE = """
steps = {steps}
batch_size = 8
log_every = 4
checkpoint_every = 6
{parts}
[run]
threads = 1
precision = "32"
"""
GAN = """
trainer = { name = "dcgan", width = 8, latent_size = 8, ema_half_life = 100 }
data.train = { name = "digits", size = 32, test_share = 0.05 }
evaluate = [
  { name = "sample_grid", every = 8, count = 4, columns = 2 },
  { name = "sliced_wasserstein", every = 8, n = 32, patches = 8, directions = 16 },
]
"""
AUTOENCODER = """
data.train = { name = "digits", size = 16, test_share = 0.05 }
evaluate = [
  { name = "reconstructions", every = 8, count = 4, images = 32 },
  { name = "sample_grid", every = 12, count = 4, columns = 2 },
]

[trainer]
name = "vae"
latent_size = 4
networks = { name = "convolutional", encoder_channels = [8, 8], decoder_channels = [8, 8] }
"""
DIFFUSION = """
trainer = { name = "ddpm", denoiser = { name = "unet", channels = [8, 8], blocks = [1, 1] }, timesteps = 20 }
data.train = { name = "digits", size = 8, margin = 0, test_share = 0.05 }
evaluate = [{ name = "sample_grid", every = 12, count = 4, columns = 2, per_class = 1, classes = 2 }]
"""
ADAPTATION = """
trainer = { name = "dann", encoder = { name = "modern", width = 4 } }
data.source = { name = "digits", size = 16, test_share = 0.05 }
data.target = { name = "digits_m", size = 16, test_share = 0.05 }
evaluate = [{ name = "accuracy", every = 6 }]
select = { metric = "accuracy/source" }
"""
FAMILIES = {"gan": GAN, "autoencoder": AUTOENCODER, "diffusion": DIFFUSION, "adaptation": ADAPTATION}


def recipe(family: str, steps: int = STEPS) -> str:
    """The text of a recipe."""
    return RECIPE.format(steps=steps, parts=FAMILIES[family])
