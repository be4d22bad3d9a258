"""Networks against what is printed of them, and layers against their definitions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.protocols import ImageSpec
from pluglab.recipe.resolve import make
from pluglab_gan.attention import SelfAttention
from pluglab_gan.spectral import spectrally_normalized, update_spectral_norm

from .conftest import spec_of


@pytest.fixture
def networks(registry):
    def networks(name, size=64, channels=3, **options):
        trainer = make(registry, "trainer", name, **options).build({"train": spec_of(size, channels)})
        return {key: network for key, (network, _) in trainer.networks().items()}

    return networks


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv(before, after, kernel, bias=True):
    return before * after * kernel**2 + (after if bias else 0)


def attention(channels):
    return 2 * conv(channels, channels // 8, 1) + conv(channels, channels, 1) + 1


def test_dcgan_has_the_printed_parameters(networks):
    found = networks("dcgan", latent_size=100)
    assert (count(found["generator"]), count(found["discriminator"])) == (3_576_704, 2_765_568)


def test_dcgan_of_a_latent_of_64_has_fewer_by_its_first_layer(networks):
    assert count(networks("dcgan", latent_size=64)["generator"]) == 3_576_704 - 36 * 512 * 16


def test_sngan_is_dcgan_without_batch_norm_in_d_but_with_its_biases(networks):
    printed, found = networks("dcgan"), networks("sngan")
    assert count(found["generator"]) == count(printed["generator"])
    norms, biases = 2 * (128 + 256 + 512), 64 + 128 + 256 + 512 + 1
    assert count(found["discriminator"]) == count(printed["discriminator"]) - norms + biases


def test_sngan_as_printed_is_dcgan_with_normalized_weights(networks):
    found = networks("sngan", batch_norm=True)
    assert count(found["discriminator"]) == 2_765_568


@pytest.mark.parametrize("pooling", [True, False])
def test_sagan_is_as_printed(networks, pooling):
    found = networks("sagan", attention_pooling=pooling)
    g = [conv(128, 512, 4), conv(512, 256, 4), conv(256, 128, 4), conv(128, 64, 4), conv(64, 3, 4)]
    g += [2 * (512 + 256 + 128 + 64), attention(128), attention(64)]
    d = [conv(3, 64, 4), conv(64, 128, 4), conv(128, 256, 4), conv(256, 512, 4), conv(512, 1, 4)]
    d += [attention(256), attention(512)]
    assert (count(found["generator"]), count(found["discriminator"])) == (sum(g), sum(d))


def test_printed_acgan_is_as_printed(networks):
    found = networks("acgan", 32, preset="printed")
    g = [10 * 100, 100 * 8192 + 8192, 2 * 128]
    g += [conv(128, 128, 3), 2 * 128, conv(128, 64, 3), 2 * 64, conv(64, 3, 3)]
    d = [conv(3, 16, 3), conv(16, 32, 3), 2 * 32, conv(32, 64, 3), 2 * 64, conv(64, 128, 3), 2 * 128]
    d += [512 + 1, 512 * 10 + 10]
    assert (count(found["generator"]), count(found["discriminator"])) == (sum(g), sum(d))


@pytest.mark.parametrize(("preset", "expected"), [("printed", [1e-5, 0.8, 0.8, 0.8]), ("default", [1e-5])])
def test_the_strange_eps_is_in_the_printed_acgan_only(networks, preset, expected):
    parts = [m for network in networks("acgan", 32, preset=preset).values() for m in network.modules()]
    assert sorted({m.eps for m in parts if isinstance(m, nn.BatchNorm2d)}) == sorted(set(expected))


@pytest.mark.parametrize("name", ["dcgan", "sngan", "sagan", "acgan"])
@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 3), (128, 3)])
def test_every_size_is_made_and_judged(networks, name, size, channels):
    found = networks(name, size, channels, width=8)
    labels = (torch.tensor([0, 1, 2]),) if name == "acgan" else ()
    latents = torch.randn(3, 128 if name == "sagan" else 100)
    images = found["generator"](latents, *labels)
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert found["discriminator"](images).shape == ((3, 11) if name == "acgan" else (3,))


@pytest.mark.parametrize("size", [16, 28, 32])
def test_printed_acgan_makes_multiples_of_four(networks, size):
    found = networks("acgan", size, 1, preset="printed")
    images = found["generator"](torch.randn(2, 100), torch.tensor([0, 1]))
    assert images.shape == (2, 1, size, size)
    assert found["discriminator"](images).shape == (2, 11)


@pytest.mark.parametrize("name", ["dcgan", "sngan", "sagan", "acgan"])
@pytest.mark.parametrize("shape", [(28, 28), (256, 256), (8, 8), (64, 32)])
def test_a_size_that_the_network_cannot_make_is_told_before_training(registry, name, shape):
    spec = ImageSpec(3, shape[0], shape[1], 100, ("a", "b"))
    with pytest.raises(UserError, match=f"images of {shape[0]} x {shape[1]}: it wants squares") as error:
        make(registry, "trainer", name).build({"train": spec})
    assert "size" in error.value.help[0]


@pytest.mark.parametrize("shape", [(30, 30), (4, 4), (32, 16)])
def test_so_is_one_that_the_printed_acgan_cannot_make(registry, shape):
    spec = ImageSpec(3, shape[0], shape[1], 100, ("a", "b"))
    with pytest.raises(UserError, match=f"images of {shape[0]} x {shape[1]}: it wants squares"):
        make(registry, "trainer", "acgan", preset="printed").build({"train": spec})


# Layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooled", [True, False])
def test_attention_is_the_softmax_of_the_papers_equations(pooled):
    torch.manual_seed(0)
    layer, x = SelfAttention(16, pooled).double(), torch.randn(2, 16, 4, 6, dtype=torch.double)
    nn.init.constant_(layer.gamma, 0.7)
    queries, keys, values = layer.query(x), layer.key(x), layer.value(x)
    if pooled:
        keys, values = nn.functional.max_pool2d(keys, 2), nn.functional.max_pool2d(values, 2)
    f, g, h = keys.flatten(2), queries.flatten(2), values.flatten(2)
    s = torch.einsum("ncj,nci->nji", g, f)  # for each place j, its affinity to every place i
    beta = s.exp() / s.exp().sum(2, keepdim=True)
    expected = x + 0.7 * torch.einsum("nji,nci->ncj", beta, h).view_as(x)
    torch.testing.assert_close(layer(x), expected)


def test_attention_starts_as_nothing():
    layer, x = SelfAttention(16), torch.randn(2, 16, 4, 4)
    assert torch.equal(layer(x), x)


def spectral_norms(network):
    """The largest singular value of each weight as the layer uses it, rows being outputs as torch defines."""
    found = []
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            weight = layer.weight.detach()
            rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
            found.append(torch.linalg.svdvals(rows.flatten(1))[0].item())
    return found


def layers():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 8, 4), nn.ConvTranspose2d(8, 6, 4), nn.Flatten(), nn.Linear(6 * 64, 5)
    return nn.Sequential(*parts)


@pytest.mark.parametrize("autocast", [False, True])
def test_spectral_norm_makes_the_largest_singular_value_one(autocast):
    network, x = spectrally_normalized(layers()), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        for part in (network[0], network[1], network[3]):
            part.parametrizations.weight.original.mul_(7).add_(0.1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for _ in range(30):
            network(x).float().sum().backward()
    assert spectral_norms(network.eval()) == pytest.approx([1, 1, 1], rel=1e-3)


def test_every_weight_of_the_discriminators_is_normalized(networks):
    for name in ("sngan", "acgan"):
        found = networks(name, 16, width=8)["discriminator"]
        free = [layer for layer in found.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        free = [layer for layer in free if not nn.utils.parametrize.is_parametrized(layer, "weight")]
        assert free == ([found.classifier] if name == "acgan" else [])


def test_an_average_of_normalized_weights_is_normalized_by_its_own_singular_values():
    """The average's singular vectors are those of its own weights, not an average of vectors."""
    network = spectrally_normalized(layers())
    average = copy.deepcopy(network).eval()
    for step in range(40):
        torch.manual_seed(step)
        for follower, leader in zip(average.buffers(), network.buffers(), strict=True):
            follower.lerp_(torch.randn_like(leader), 0.1)  # as if they turned fast
        update_spectral_norm(average)
    for _ in range(30):
        update_spectral_norm(average)
    assert not any(part.training for part in average.modules())
    assert spectral_norms(average) == pytest.approx([1, 1, 1], rel=1e-2)


def test_dcgan_starts_from_its_papers_distribution(networks):
    for network in networks("dcgan").values():
        parts = list(network.modules())
        weights = [m.weight.flatten() for m in parts if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        scales = [m.weight.flatten() for m in parts if isinstance(m, nn.BatchNorm2d)]
        assert torch.cat(weights).std().item() == pytest.approx(0.02, rel=0.01)
        assert torch.cat(scales).mean().item() == pytest.approx(1, abs=0.01)


def test_the_class_reaches_the_image(networks):
    for preset in ("default", "printed"):
        generator = networks("acgan", 16, preset=preset, width=8)["generator"].eval()
        latents = torch.randn(1, 100).expand(2, -1)
        one, other = generator(latents, torch.tensor([0, 1]))
        assert not torch.allclose(one, other, atol=1e-4)


def test_the_class_head_gives_logits_and_no_probabilities(networks):
    """With a softmax before it, cross-entropy of ten classes could not fall below log(9 + e) - 1 = 1.46."""
    for preset in ("default", "printed"):
        judge = networks("acgan", 32, preset=preset)["discriminator"].eval()
        with torch.no_grad():
            judge.classifier.weight.mul_(1e8)
            logits = judge(torch.randn(4, 3, 32, 32))[:, 1:]
        assert nn.functional.cross_entropy(logits, logits.argmax(1)).item() < 0.1
