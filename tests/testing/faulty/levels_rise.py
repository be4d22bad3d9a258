"""levels: of 2 levels alpha_bar does not fall from each to the next"""

import torch


def mine(timesteps):  # here
    return torch.linspace(0.01, 0.99, timesteps, dtype=torch.float64)


def lab_register(registry):
    registry.add("noise_schedule", "levels_rise", mine, summary="faulty")
