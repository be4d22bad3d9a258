"""From a trained denoiser to images: the options, guidance, and noise that samplers add."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pluglab.components import Component, Options, Reference, named
from pluglab.data import derived_seed
from pluglab.errors import UserError
from pluglab_diffusion.denoisers import NO_CLASS

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
GUIDANCE = 1.5  # what 'auto' stands for in a class-conditional model


class Sampling(Options):
    """How images are drawn from a diffusion model."""

    sampler: Annotated[Component, Reference("sampler")] = named("dpm_solver_pp_2m")
    """How to get from one noise level to the next."""
    steps: int = Field(12, ge=1)
    """Steps of the sampler, each a pass through the denoiser (of `heun` two, but for the last); at most T."""
    guidance: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    """Weight w of classifier-free guidance: 0 forgets the class, 1 is the plain conditional model at half
    the cost, more exaggerates the class. auto: 1.5, or 1 in a model that has not learned both."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Guide only where t / T lies in it; elsewhere w is 1, at half the cost (Kynkaanniemi et al. 2024). Of
    `edm` it is the place of ln(sigma) between those of sigma_min and sigma_max."""
    rescale: float = Field(0.0, ge=0, le=1)
    """Share to which a guided prediction is brought back to the spread of the unguided one (Lin et al. 2023,
    section 3.4); for large w."""
    guide: str = ""
    """A worse model to be guided away from, in place of that of no class: a run folder, or RUN@STEP for one
    of its checkpoints (autoguidance, Karras et al. 2024). Empty: none."""
    spacing: Annotated[float, Field(ge=1, le=3)] | Literal["auto", "karras"] = "auto"
    """Which levels are visited. A number is the exponent of t = T (i / steps)^spacing: 1 is evenly spaced,
    more puts more of them where there is little noise. "karras": evenly spaced in (sigma / alpha)^(1 / rho)
    (Karras et al. 2022, eq. 5). auto: "karras" for `edm`, 1.5 for others."""
    rho: float = Field(7.0, ge=1)
    """The rho of spacing "karras"; more puts more levels where there is little noise."""
    clip: bool = True
    """Clip every guess of the clean image to [-1, 1]."""
    batch_size: int = Field(250, ge=1)
    """Images drawn at once: it bounds the memory, and changes no image."""

    @model_validator(mode="after")
    def _rising(self) -> Sampling:
        low, high = self.guidance_interval
        if not 0 <= low < high <= 1:
            raise ValueError("should have a guidance_interval that rises within [0, 1]")
        return self

    def weight(self, *, classes: bool, guided: bool) -> float:
        """The weight w for a model that knows `classes`, and for one that has learned images of no class
        beside them (`guided`). Raises `UserError` for a weight that needs what it has not learned."""
        if self.guidance == "auto":
            return GUIDANCE if guided else 1.0
        if not guided and self.guidance != 1:
            lacks = "has learned no images of no class" if classes else "knows no classes"
            way = "train with a label_drop above 0" if classes else "train on data with labels"
            raise UserError(
                f"guidance {self.guidance:g} needs a class-conditional model that has been trained with and "
                f"without labels, and this one {lacks}",
                help=[f'leave `guidance` at "auto", or {way}'],
            )
        return self.guidance

    def guides(self, share: float) -> bool:
        """Whether a level at that share of the way to pure noise lies in the guidance interval."""
        low, high = self.guidance_interval
        return low <= share <= high


def guided(network: Network, x: Tensor, t: Tensor, labels: Tensor, w: float, rescale: float = 0.0) -> Tensor:
    """free + w (conditional - free), of one pass through the network with twice the images (Ho and Salimans
    2022, eq. 6, whose w is one less). For w = 1 or 0 one of the two is all that is computed."""
    nothing = torch.full_like(labels, NO_CLASS)
    if w in (0, 1):
        return network(x, t, labels if w else nothing)
    both = network(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, nothing]))
    conditional, free = both.chunk(2)
    return away(conditional, free, w, rescale)


def away(output: Tensor, worse: Tensor, w: float, rescale: float = 0.0) -> Tensor:
    """worse + w (output - worse), with `rescale` brought back to the spread of `output`."""
    guided = worse + w * (output - worse)
    return rescaled(guided, output, rescale) if rescale else guided


def rescaled(output: Tensor, conditional: Tensor, share: float) -> Tensor:
    """`output` with, to that share, the deviation of `conditional` in each image (Lin et al. 2023, eq. 15
    and 16). An output without any deviation, as of a network that starts at zero, stays what it is."""
    spread = output.std((1, 2, 3), keepdim=True)
    ratio = torch.where(spread > 0, conditional.std((1, 2, 3), keepdim=True) / spread, 1.0)
    return output * (share * ratio + 1 - share)


class AddedNoise:
    """Standard normal noise for a sampler to add to images that began as `x`: N x C x H x W.

    Each image has a stream of its own, a function of what it began as, so that neither its place nor the
    number of images drawn at once matters.
    """

    def __init__(self, x: Tensor) -> None:
        self.start, self.streams = x, list[torch.Generator]()

    def __call__(self, x: Tensor) -> Tensor:
        self.streams = self.streams or [_stream_of(image) for image in self.start]
        drawn = torch.empty(x.shape, device=x.device)
        for image, stream in zip(drawn, self.streams, strict=True):
            image.normal_(generator=stream)
        return drawn


def _stream_of(image: Tensor) -> torch.Generator:
    content = hashlib.sha256(image.float().cpu().contiguous().numpy().tobytes()).hexdigest()
    return torch.Generator(image.device).manual_seed(derived_seed("added noise", content))
