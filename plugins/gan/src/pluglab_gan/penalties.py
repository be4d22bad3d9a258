"""Penalties on the gradient of the discriminator, with respect to images N x C x H x W."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Gradient = Callable[[Tensor, Tensor], Tensor]
"""The gradient of summed scores with respect to images, itself differentiable."""


@contextmanager
def differentiable_twice(network: nn.Module) -> Iterator[None]:
    """Around a forward pass of `network` whose gradient is differentiated again. Neither a compiled network
    nor fused attention has a second derivative, so their plain operations take their places."""
    compiled = any(part._compiled_call_impl is not None for part in network.modules())
    # Asked for only where it matters: it imports the compiler.
    eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    with eager, sdpa_kernel(SDPBackend.MATH):
        yield


def gradient_of(scores: Tensor, images: Tensor) -> Tensor:
    """Of each image's own score: scores of a batch do not depend on each other."""
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient


def zero_centered(scores: Tensor, images: Tensor, gradient: Gradient = gradient_of) -> Tensor:
    """|grad d(x)|^2 / 2, averaged over the batch: R1 of real images, R2 of generated ones (Mescheder et al.
    2018, eq. 9 and 10).

    `scores` N were computed from `images`, which require a gradient.
    """
    return gradient(scores, images).square().flatten(1).sum(1).mean() / 2


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, gradient: Gradient = gradient_of
) -> Tensor:
    """(|grad d(x)| - 1)^2 at points drawn between pairs of images (Gulrajani et al. 2017, eq. 3)."""
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = torch.lerp(fake, real, share).detach().requires_grad_()
    # Not `norm`: its gradient at 0 is undefined.
    length = (gradient(critic(between), between).square().flatten(1).sum(1) + 1e-12).sqrt()
    return (length - 1).square().mean()
