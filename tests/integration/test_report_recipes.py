"""The recipes of the reports: networks as printed, counted by hand, and those that two cores train."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from pluglab.architecture.describing import describe
from pluglab.architecture.networks import Architecture
from pluglab.images import ImageSpec
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.recipe import Recipe, load_recipe

FOLDER = Path(__file__).parents[2] / "recipes" / "reports"
DIGITS = tuple("0123456789")
LETTERS = "abcde"


@cache
def recipes(name: str) -> dict[str, Recipe]:
    """Each variant of a recipe, by its name."""
    found = load_recipe(FOLDER / f"{name}.toml").resolve_all(load_plugins().registry)
    return {recipe.variant: recipe for recipe in found}


@cache
def built(name: str, variant: str) -> Architecture:
    """The networks of a variant, for images of the size that the recipe asks for."""
    recipe = recipes(name)[variant]
    specs = {}
    for role, source in recipe.data.items():
        asked = source.dataset.dump()
        size = asked["size"]
        specs[role] = ImageSpec(3, size, size, 100, None if asked["name"] == "image_folder" else DIGITS)
    return describe(recipe.options.trainer.build(specs), recipe.options.batch_size)


def counts(name: str, variant: str) -> dict[str, int]:
    return {network.name: network.parameters for network in built(name, variant).networks}


# Layers as reports print them, counted by hand: b is a bias


def conv(i: int, o: int, k: int, b: int = 1) -> int:
    return i * o * k * k + b * o


def linear(i: int, o: int) -> int:
    return i * o + o


def bn(*channels: int) -> int:
    return 2 * sum(channels)


def dcgan(z: int) -> dict[str, int]:
    up = [conv(i, o, 4, 0) for i, o in ((z, 512), (512, 256), (256, 128), (128, 64), (64, 3))]
    down = [conv(i, o, 4, 0) for i, o in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 1))]
    return {
        "generator": sum(up) + bn(512, 256, 128, 64),
        "discriminator": sum(down) + bn(128, 256, 512),
    }


DANN_I = {
    "features": conv(3, 32, 5) + conv(32, 48, 5) + bn(32, 48),
    "classifier": linear(768, 384) + linear(384, 192) + linear(192, 10) + bn(384, 192),
    "discriminator": linear(768, 384) + linear(384, 2) + bn(384),
}
DANN_II = {
    "features": conv(3, 64, 5) + conv(64, 48, 5) + bn(64, 48),
    "classifier": linear(768, 192) + linear(192, 128) + linear(128, 10) + bn(192, 128),
    "discriminator": linear(768, 128) + linear(128, 2) + bn(128),
}
DANN_III = {
    "features": sum(
        conv(i, o, 3) + bn(o) for i, o in ((3, 64), (64, 128), (128, 256), (256, 256), (256, 512))
    ),
    "classifier": linear(512, 256) + linear(256, 10),
    "discriminator": linear(512, 256) + linear(256, 128) + linear(128, 1),
}
LENET = conv(3, 20, 5) + conv(20, 50, 5) + linear(800, 500)
ADDA = {
    "features": LENET,
    "classifier": linear(500, 10),
    "target_features": LENET,
    "discriminator": linear(500, 200) + linear(200, 200) + linear(200, 2),
}


def attention(c: int) -> int:
    return 2 * conv(c, c // 8, 1) + conv(c, c, 1) + 1


SAGAN = {
    "generator": sum(conv(i, o, 4) for i, o in ((128, 512), (512, 256), (256, 128), (128, 64), (64, 3)))
    + bn(512, 256, 128, 64)
    + attention(128)
    + attention(64),
    "discriminator": sum(conv(i, o, 4) for i, o in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 1)))
    + attention(256)
    + attention(512),
}


def linear_attention(c: int) -> int:
    """And the small network after it: each with a norm of channels, around it what it is given."""
    return (
        2 * c + c * 512 + c * 9 + c * 1024 + conv(512, c, 1) + 2 * c + conv(c, 2 * c, 1) + conv(2 * c, c, 1)
    )


def style_block(i: int, o: int) -> int:
    """Two modulated convolutions with a style and noise by channel, and the branch to an image."""
    convolutions = i * o * 9 + o * o * 9 + 3 * o
    return linear(512, i) + convolutions + 2 * linear(512, o) + 2 * linear(1, o)


def residual_block(i: int, o: int) -> int:
    return conv(i, o, 1) + conv(i, o, 3) + conv(o, o, 3)


WIDTHS = 64, 128, 256, 512, 512
STYLEGAN2 = {
    "generator": 8 * linear(512, 512)
    + 512 * 4 * 4
    + conv(512, 512, 3)
    + sum(style_block(i, o) for i, o in ((512, 512), (512, 256), (256, 128), (128, 64), (64, 32)))
    + linear_attention(64),
    "discriminator": sum(residual_block(i, o) for i, o in zip((3, *WIDTHS), (*WIDTHS, 512), strict=True))
    + sum(conv(o, o, 3) for o in WIDTHS)
    + linear_attention(64)
    + conv(512, 512, 3)
    + linear(2048, 1),
}
PRIVATE = conv(3, 32, 5) + conv(32, 64, 5) + linear(64 * 8 * 8, 100)
DSN = {
    "features": conv(3, 32, 5) + conv(32, 48, 5) + linear(48 * 8 * 8, 100),
    "classifier": linear(100, 100) + linear(100, 10),
    "source_features": PRIVATE,
    "target_features": PRIVATE,
    "decoder": linear(100, 3 * 16 * 16) + conv(3, 16, 5) + conv(16, 16, 5) + conv(16, 16, 3) + conv(16, 3, 3),
    "discriminator": linear(100, 100) + linear(100, 2),
}


def test_the_counts_by_hand_are_those_that_the_reports_print() -> None:
    """Of SAGAN, StyleGAN2 and DSN no report prints a total; they are held to the layers that are printed."""
    assert dcgan(100) == {"generator": 3_576_704, "discriminator": 2_765_568}
    assert sum(DANN_II.values()) == 355_164


@pytest.mark.parametrize(
    ("name", "variant", "wanted"),
    [
        ("a", "DCGAN", dcgan(100)),
        ("a", "SN-GAN", dcgan(100)),
        ("a", "diffusion", {"denoiser": 23_335_299}),  # docs/diffusion.md
        ("b", "StyleGAN2", STYLEGAN2),
        ("b", "ACGAN", {"generator": 1_052_139, "discriminator": 103_531}),
        ("c", "VAE", {"encoder": 1_378_784, "decoder": 3_220_915}),
        ("d", "DCGAN", dcgan(64)),
        ("d", "SAGAN", SAGAN),
        ("d", "diffusion", {"denoiser": 33_293_187}),  # docs/diffusion.md
        ("e", "DCGAN A", dcgan(100)),
        ("e", "DCGAN B", dcgan(100)),
        ("e", "diffusion", {"denoiser": 23_335_299}),
    ],
)
def test_generators_are_those_that_are_printed(name: str, variant: str, wanted: dict[str, int]) -> None:
    assert counts(name, variant) == wanted


def test_the_vae_is_as_large_as_it_is_printed() -> None:
    assert built("c", "VAE").parameters == 4_599_699


@pytest.mark.parametrize(
    ("name", "preset"), [("a", DANN_I), ("b", DANN_I), ("c", DANN_I), ("d", DANN_III), ("e", DANN_II)]
)
def test_adaptation_has_the_printed_networks_and_baselines_the_same(
    name: str, preset: dict[str, int]
) -> None:
    cells = [recipe for recipe in recipes(name).values() if "source" in recipe.data]
    scenarios = {tuple(source.dataset.name for source in recipe.data.values()) for recipe in cells}
    assert len(scenarios) == (3 if name in "bc" else 2)
    for recipe in cells:
        found = counts(name, recipe.variant)
        if recipe.options.trainer.name == "dann":
            assert found == preset
        elif recipe.options.trainer.name in ("source_only", "target_only"):
            assert found == {part: preset[part] for part in ("features", "classifier")}
        elif recipe.options.trainer.name == "adda":
            assert found == ADDA
        else:
            assert (recipe.options.trainer.name, found) == ("dsn", DSN)


def test_layers_are_printed_with_their_arguments() -> None:
    generator, discriminator = built("a", "SN-GAN").networks
    first = "(1): ConvTranspose2d(100, 512, kernel_size=(4, 4), stride=(1, 1), bias=False)"
    assert first in generator.printed
    assert discriminator.printed.count("spectral norm") == 5
    assert discriminator.layers[-1].outputs[0][0] == "N"


@pytest.mark.parametrize("letter", LETTERS)
def test_two_cores_train_the_same_rows(letter: str) -> None:
    """Under other lengths, and in the same or in narrower networks."""
    printed, small = recipes(letter), recipes(f"{letter}_two_cores")
    assert printed.keys() == small.keys()
    for variant in small:
        assert small[variant].options.steps < printed[variant].options.steps
        assert built(f"{letter}_two_cores", variant).parameters <= built(letter, variant).parameters
        data = [{role: one.dump() for role, one in r[variant].data.items()} for r in (printed, small)]
        assert data[0] == data[1]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_report_holds_the_figures_that_it_shows(letter: str) -> None:
    shown = {
        "dcgan": {"sample_grid"},
        "sngan": {"sample_grid"},
        "sagan": {"sample_grid"},
        "stylegan2_lite": {"sample_grid"},
        "acgan": {"sample_grid", "generation_quality"},
        "ddpm": {"sample_grid", "reverse_process", "generation_quality"},
        "vae": {"sample_grid", "reconstructions", "latent_tsne"},
    }
    for recipe in recipes(f"{letter}_two_cores").values():
        found = {use.component.name for use in recipe.evaluators}
        assert found >= {
            "learning_curves",
            *shown.get(recipe.options.trainer.name, {"accuracy", "latent_tsne"}),
        }
