"""Diffusion models: DDPM, rectified flow and EDM, with guidance, their denoisers and samplers.

What other plugins build on is named here; docs/building.md says how.
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "NO_CLASS",
    "Denoise",
    "Denoiser",
    "DenoisingOptions",
    "DenoisingTrainer",
    "DiscreteProcess",
    "Level",
    "Noise",
    "NoiseSchedule",
    "Path",
    "Process",
    "RectifiedFlow",
    "Sampler",
    "Sampling",
    "VarianceExploding",
    "normal_quantiles",
    "spread_shares",
]

if TYPE_CHECKING:
    from pluglab_diffusion.denoisers import NO_CLASS as NO_CLASS
    from pluglab_diffusion.denoisers import Denoiser as Denoiser
    from pluglab_diffusion.denoising import DenoisingOptions as DenoisingOptions
    from pluglab_diffusion.denoising import DenoisingTrainer as DenoisingTrainer
    from pluglab_diffusion.denoising import normal_quantiles as normal_quantiles
    from pluglab_diffusion.denoising import spread_shares as spread_shares
    from pluglab_diffusion.process import DiscreteProcess as DiscreteProcess
    from pluglab_diffusion.process import Level as Level
    from pluglab_diffusion.process import Path as Path
    from pluglab_diffusion.process import Process as Process
    from pluglab_diffusion.process import RectifiedFlow as RectifiedFlow
    from pluglab_diffusion.process import VarianceExploding as VarianceExploding
    from pluglab_diffusion.samplers import Denoise as Denoise
    from pluglab_diffusion.samplers import Noise as Noise
    from pluglab_diffusion.samplers import Sampler as Sampler
    from pluglab_diffusion.sampling import Sampling as Sampling
    from pluglab_diffusion.schedules import NoiseSchedule as NoiseSchedule
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("Denoiser", "NO_CLASS"), "pluglab_diffusion.denoisers"),
            **dict.fromkeys(
                ("DenoisingOptions", "DenoisingTrainer", "normal_quantiles", "spread_shares"),
                "pluglab_diffusion.denoising",
            ),
            **dict.fromkeys(
                ("DiscreteProcess", "Level", "Path", "Process", "RectifiedFlow", "VarianceExploding"),
                "pluglab_diffusion.process",
            ),
            **dict.fromkeys(("Denoise", "Noise", "Sampler"), "pluglab_diffusion.samplers"),
            **dict.fromkeys(("Sampling",), "pluglab_diffusion.sampling"),
            **dict.fromkeys(("NoiseSchedule",), "pluglab_diffusion.schedules"),
        },
    )
