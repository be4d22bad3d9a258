"""Writes diffusers.json: what diffusers' schedulers compute, for tests that do not need diffusers.

    pip install diffusers==0.35.1   # somewhere else than in the project's environment
    python tests/diffusion/goldens/make_diffusers.py

The network is a function that the tests repeat: tanh(0.8 x + t / 1000), and whatever it is taken to predict.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
)
from diffusers.schedulers import scheduling_edm_euler
from torch import Tensor

SHAPE = (2, 1, 2, 2)
STEPS = 8
PREDICTIONS = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
SCHEDULES: dict[str, dict[str, Any]] = {
    "linear_1000": {"num_train_timesteps": 1000, "beta_schedule": "linear"},
    "linear_200": {"num_train_timesteps": 200, "beta_start": 5e-4, "beta_end": 0.1},
    "cosine_1000": {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
    "cosine_200": {"num_train_timesteps": 200, "beta_schedule": "squaredcos_cap_v2"},
}


def network(x: Tensor, t: int) -> Tensor:
    return torch.tanh(0.8 * x + t / 1000)


def draws(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64))


def alphas() -> dict[str, Any]:
    """alpha_bar at every 37th level and the last, plain and stretched to zero terminal SNR."""
    found = {}
    for name, options in SCHEDULES.items():
        plain = DDIMScheduler(**options).alphas_cumprod
        stretched = DDIMScheduler(**options, rescale_betas_zero_snr=True).alphas_cumprod
        at = sorted({*range(0, len(plain), 37), len(plain) - 1})
        found[name] = {"t": at, "plain": plain[at].tolist(), "zero_snr": stretched[at].tolist()}
    return found


def forward_process() -> dict[str, Any]:
    scheduler = DDPMScheduler(**SCHEDULES["cosine_1000"])
    (x0, noise), t = draws(2, 0), torch.tensor([3, 800])
    return {
        "t": t.tolist(),
        "x0": x0.tolist(),
        "noise": noise.tolist(),
        "noised": scheduler.add_noise(x0, noise, t).tolist(),
        "velocity": scheduler.get_velocity(x0, noise, t).tolist(),
    }


def ddpm_step() -> list[dict[str, Any]]:
    """One ancestral step at t = 500 of all 1000 levels, and of 8 of them, both variances."""
    found = []
    for variance in ("small", "large"):
        for prediction, theirs in PREDICTIONS.items():
            for steps in (1000, STEPS):
                scheduler = DDPMScheduler(
                    **SCHEDULES["linear_1000"],
                    variance_type=f"fixed_{variance}",
                    prediction_type=theirs,
                    clip_sample=False,
                    timestep_spacing="trailing",
                )
                scheduler.set_timesteps(steps)
                t = int(scheduler.timesteps[steps // 2])
                x = draws(1, 1)[0]
                noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
                generator = torch.Generator().manual_seed(2)
                after = scheduler.step(network(x, t), t, x, generator=generator).prev_sample
                found.append(
                    {"variance": variance, "prediction": prediction, "t": t}
                    | {"t_after": int(scheduler.previous_timestep(t))}
                    | {"x": x.tolist(), "noise": noise.tolist(), "after": after.tolist()}
                )
    return found


def chains() -> list[dict[str, Any]]:
    """x after every step of whole chains, and the noise of each step."""
    common = {**SCHEDULES["linear_1000"], "timestep_spacing": "trailing"}
    found = []
    for prediction, theirs in PREDICTIONS.items():
        for eta in (0.0, 1.0):
            ddim = DDIMScheduler(**common, prediction_type=theirs, clip_sample=False)
            found.append(chain("ddim", ddim, prediction, eta=eta))
        solver = DPMSolverMultistepScheduler(
            **common, prediction_type=theirs, solver_order=2, final_sigmas_type="zero"
        )
        found.append(chain("dpm_solver_pp_2m", solver, prediction))
    stretched = {"rescale_betas_zero_snr": True, "clip_sample": False, "prediction_type": "v_prediction"}
    found.append(chain("ddim", DDIMScheduler(**common, **stretched), "v", eta=0.0) | {"zero_snr": True})
    return found


def chain(name: str, scheduler: Any, prediction: str, **options: float) -> dict[str, Any]:
    scheduler.set_timesteps(STEPS)
    (x,), noises, states = draws(1, 3), draws(STEPS, 4), []
    for t, noise in zip(scheduler.timesteps.tolist(), noises, strict=True):
        extra = {**options, "variance_noise": noise} if options else {}
        x = scheduler.step(network(x, t), t, x, **extra).prev_sample
        states.append(x.tolist())
    return {
        "sampler": name,
        "prediction": prediction,
        "options": options,
        "timesteps": scheduler.timesteps.tolist(),
        "start": draws(1, 3)[0].tolist(),
        "noises": [noise.tolist() for noise in noises],
        "states": states,
    }


# Continuous levels -------------------------------------------------------------------------------------
# Schedulers of these compute in float32. `levels` are the scheduler's sigmas, the last of them 0.


def edm() -> list[dict[str, Any]]:
    """Chains at Karras' sigmas of F = tanh(0.8 c_in x + c_noise): Euler, with and without churn, and 2M."""
    churn = {"churn": 4.0, "churn_min": 0.05, "churn_max": 50.0, "churn_noise": 1.003}
    theirs = {"s_churn": 4.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}
    return [
        edm_chain("euler", EDMEulerScheduler(sigma_data=0.6), {}, {}),
        edm_chain("euler", EDMEulerScheduler(), churn, theirs),
        edm_chain("dpm_solver_pp_2m", EDMDPMSolverMultistepScheduler(euler_at_final=True), {}, {}),
    ]


def edm_chain(name: str, scheduler: Any, options: dict[str, float], theirs: Any) -> dict[str, Any]:
    """With churn the network must see the noisier x, which the scheduler makes inside its step: it is made
    here as well, of the same noise."""
    scheduler.set_timesteps(STEPS)
    (start,), noises, states = draws(1, 5), [noise.float() for noise in draws(STEPS, 6)], []
    x = (start * scheduler.sigmas[0]).float()
    scheduler.is_scale_input_called = True
    for sigma, t, noise in zip(scheduler.sigmas[:-1], scheduler.timesteps, noises, strict=True):
        scheduling_edm_euler.randn_tensor = lambda *shape, noise=noise, **options: noise
        low, high = theirs.get("s_tmin", 0.0), theirs.get("s_tmax", float("inf"))
        gamma = min(theirs.get("s_churn", 0.0) / STEPS, 2**0.5 - 1) if low <= sigma <= high else 0.0
        hat = sigma * (1 + gamma)
        noisier = x + (hat**2 - sigma**2) ** 0.5 * theirs.get("s_noise", 1.0) * noise
        output = torch.tanh(0.8 * scheduler.precondition_inputs(noisier, hat) + hat.log() / 4)
        x = scheduler.step(output, t, x, **theirs).prev_sample
        states.append(x.tolist())
    return {
        "sampler": name,
        "options": options,
        "sigma_data": scheduler.config.sigma_data,
        "levels": scheduler.sigmas.tolist(),
        "start": start.tolist(),
        "noises": [noise.tolist() for noise in noises],
        "states": states,
    }


def flow() -> list[dict[str, Any]]:
    """Chains of the velocity tanh(0.8 x + t)."""
    euler, heun = FlowMatchEulerDiscreteScheduler(), FlowMatchHeunDiscreteScheduler()
    euler.set_timesteps(sigmas=[1.0, 0.7, 0.4, 0.2, 0.05])
    heun.set_timesteps(STEPS)
    return [flow_chain("euler", euler, 1), flow_chain("heun", heun, 2)]


def flow_chain(name: str, scheduler: Any, passes: int) -> dict[str, Any]:
    (x,) = draws(1, 7)
    start, states, x = x.tolist(), [], x.float()
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(0.8 * x + t / 1000), t, x).prev_sample
        states.append(x.tolist())
    levels = scheduler.sigmas.tolist()
    if passes == 2:  # after each pair of passes; the last step has one
        states, levels = [*states[1::2], states[-1]], [levels[0], *levels[1:-1:2], levels[-1]]
    return {"sampler": name, "levels": levels, "start": start, "states": states}


def heun() -> dict[str, Any]:
    """A chain at Karras' sigmas of images that are not scaled: D = tanh(0.8 x / (1 + sigma))."""
    scheduler = HeunDiscreteScheduler(prediction_type="epsilon", use_karras_sigmas=True)
    scheduler.set_timesteps(STEPS)
    (start,) = draws(1, 8)
    x, states = (start * scheduler.sigmas[0]).float(), []
    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        image = torch.tanh(0.8 * x / (1 + sigma))
        x = scheduler.step((x - image) / sigma, t, x).prev_sample
        states.append(x.tolist())
    found = scheduler.sigmas.tolist()
    levels = [found[0], *found[1:-1:2], found[-1]]
    return {"levels": levels, "start": start.tolist(), "states": [*states[1::2], states[-1]]}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    goldens = {
        "alphas": alphas(),
        "forward": forward_process(),
        "ddpm_step": ddpm_step(),
        "chains": chains(),
        "edm": edm(),
        "flow": flow(),
        "heun": heun(),
    }
    path = Path(__file__).with_name("diffusers.json")
    path.write_text(json.dumps(rounded(goldens)) + "\n")
