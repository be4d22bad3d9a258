"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab import Registrar
from pluglab.capabilities import Generates, HasNetworks, HasSampling, SamplesClasses, Traces

_HERE = "pluglab_diffusion"
_EDM, _FLOW = "arXiv:2206.00364", "arXiv:2209.03003"


def _kinds(registry: Registrar) -> None:
    kind, checks = registry.kind, f"{_HERE}.checks"
    what = "the network of a diffusion model"
    kind("denoiser", protocol=f"{_HERE}.denoisers:Denoiser", summary=what, checks=checks)
    what, where = "how much of the image is left at each noise level", f"{_HERE}.schedules:NoiseSchedule"
    kind("noise_schedule", protocol=where, summary=what, function=True, checks=checks)
    kind("sampler", protocol=f"{_HERE}.samplers:Sampler", summary="from noise to an image", function=True)


def lab_register(registry: Registrar) -> None:
    """The trainers of denoisers, their denoisers, noise schedules and samplers, and pictures of sampling."""
    _kinds(registry)
    add = registry.add
    what = "denoising diffusion, with classifier-free guidance"
    can = (SamplesClasses, Generates, HasSampling, Traces, HasNetworks)
    add("trainer", "ddpm", f"{_HERE}.ddpm:DDPM", summary=what, paper="arXiv:2006.11239", can=can)

    what = "straight lines from noise to image: rectified flow"
    add("trainer", "flow_matching", f"{_HERE}.flow_matching:FlowMatching", summary=what, paper=_FLOW, can=can)
    what = "preconditioned denoising at log-normal sigmas"
    add("trainer", "edm", f"{_HERE}.edm:EDM", summary=what, paper=_EDM, can=can)

    kind, here = "denoiser", f"{_HERE}.denoisers"
    add(kind, "unet", f"{here}.unet:UNet", summary="small and fast: no layer at full resolution; the default")
    what = "64 to 512 channels, attention at every size, 23 million parameters"
    add(kind, "double_conv", f"{here}.double_conv:DoubleConvUNet", summary=what)
    what = "128 to 256 channels, a table of times, 33 million parameters"
    add(kind, "residual", f"{here}.residual:ResidualUNet", summary=what)

    what = "a transformer over patches; small, and DiT-S/2 by its options"
    add(kind, "dit", f"{here}.dit:DiT", summary=what, paper="arXiv:2212.09748")

    kind, here = "noise_schedule", f"{_HERE}.schedules"
    add(kind, "linear", f"{here}:linear", summary="variances rise linearly", paper="arXiv:2006.11239")
    add(kind, "cosine", f"{here}:cosine", summary="the default", paper="arXiv:2102.09672")
    add(kind, "sigmoid", f"{here}:sigmoid", summary="between the two", paper="arXiv:2212.11972")

    kind, here = "sampler", f"{_HERE}.samplers"
    add(kind, "ddpm", f"{here}:ddpm", summary="ancestral: many steps", paper="arXiv:2006.11239")
    add(kind, "ddim", f"{here}:ddim", summary="deterministic, or with noise", paper="arXiv:2010.02502")
    what = "second order: about 10 steps; the default"
    add(kind, "dpm_solver_pp_2m", f"{here}:dpm_solver_pp_2m", summary=what, paper="arXiv:2211.01095")

    what = "first order, with noise by `churn`"
    add(kind, "euler", f"{here}:euler", summary=what, paper=_EDM)
    what = "second order, two passes a step, with noise by `churn`"
    add(kind, "heun", f"{here}:heun", summary=what, paper=_EDM)

    kind, here = "evaluator", f"{_HERE}.evaluators"
    what = "one sample from noise to image, and an animation"
    add(kind, "reverse_process", f"{here}:ReverseProcess", summary=what, paper="arXiv:2006.11239")
