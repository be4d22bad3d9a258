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
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
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
    }
    path = Path(__file__).with_name("diffusers.json")
    path.write_text(json.dumps(rounded(goldens)) + "\n")
