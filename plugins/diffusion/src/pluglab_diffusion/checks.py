"""What `lab check` asks of denoisers and noise schedules. Only it imports this."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pluglab import UserError
from pluglab.testing import Fault, Part, check
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_testing import tiny

TIMESTEPS = 10
CLOSE = 1e-3


@check("denoiser", "predicts", gates=True)
def denoiser_predicts_an_image(part: Part) -> None:
    """An output of the shape of x: of noise levels in [0, T], whole or not, of each class and of none"""
    network, shape = _denoiser(part, 3)
    x, whole = tiny.rows(shape, 0, 4).images, torch.tensor([0, 3, 9, 10])
    for t, labels in (
        (whole, torch.tensor([0, 1, 2, NO_CLASS])),
        (whole.float() - 0.5, torch.full((4,), NO_CLASS)),
    ):
        found = network(x, t.clamp(min=0), labels)
        if tuple(found.shape) != tuple(x.shape):
            got, wanted = (" x ".join(map(str, one.shape)) for one in (found, x))
            raise Fault(
                f"forward makes {got} of {wanted}: it must be of the shape of x", where=part.at("forward")
            )
        if not found.isfinite().all():
            raise Fault("forward makes values that are not finite", where=part.at("forward"))


@check("denoiser", "alone")
def denoiser_looks_at_each_image(part: Part) -> None:
    """In evaluation mode, what it says of an image does not depend on the others"""
    network, shape = _denoiser(part, 3)
    _wake(network)
    network.eval()
    x, t, labels = tiny.rows(shape, 0, 3).images, torch.tensor([1, 5, 9]), torch.tensor([0, 1, 2])
    together = network(x, t, labels)
    alone = torch.cat([network(*(one[None] for one in row)) for row in zip(x, t, labels, strict=True)])
    if not torch.allclose(together, alone, rtol=CLOSE, atol=CLOSE):
        help = ["batch norm mixes noise levels; group norm does not"]
        message = "forward says something else of an image alone than among others"
        raise Fault(message, help=help, where=part.at("forward"))


@check("denoiser", "conditions")
def denoiser_reads_what_it_is_given(part: Part) -> None:
    """What it says depends on the noise level, and on the class"""
    network, shape = _denoiser(part, 3)
    _wake(network)
    network.eval()
    x, t, labels = tiny.rows(shape, 0, 1).images, torch.tensor([5]), torch.tensor([1])
    said = network(x, t, labels)
    for what, other in (("noise level", network(x, t - 4, labels)), ("class", network(x, t, labels - 1))):
        if torch.equal(said, other):
            raise Fault(f"forward says the same whatever the {what}", where=part.at("forward"))


def _denoiser(part: Part, classes: int) -> tuple[nn.Module, tuple[int, int, int]]:
    """One for the first images that it takes, and their shape. Raises its own refusal of all."""
    refusals = []
    for shape in [part.shape] if part.shape else tiny.SHAPES:
        try:
            with torch.random.fork_rng():
                torch.manual_seed(1)
                found: nn.Module = part.built(tiny.spec(shape), classes, TIMESTEPS)
            return found, shape
        except UserError as error:
            refusals.append(error)
    raise refusals[0]


def _wake(network: nn.Module) -> None:
    """Weights that begin at zero hide what a layer reads."""
    generator = torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        if not parameter.detach().any():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


@check("noise_schedule", "levels")
def levels_fall(part: Part) -> None:
    """alpha_bar of T levels, float64, falling from below 1 to no less than 0"""
    for timesteps in (2, 10, 1000):
        levels = part.built(timesteps)
        if not isinstance(levels, Tensor) or levels.dtype != torch.float64 or levels.shape != (timesteps,):
            raise Fault(f"it must return alpha_bar of {timesteps} levels, float64", where=part.place)
        if not ((levels >= 0) & (levels < 1)).all():
            low, high = levels.min().item(), levels.max().item()
            message = f"of {timesteps} levels alpha_bar is from {low:.3g} to {high:.3g}: it is in [0, 1)"
            raise Fault(message, where=part.place)
        if not (levels.diff() < 0).all():
            message = f"of {timesteps} levels alpha_bar does not fall from each to the next"
            raise Fault(message, help=["level 0 has the least noise"], where=part.place)
