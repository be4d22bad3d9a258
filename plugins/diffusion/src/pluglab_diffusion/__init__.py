"""Diffusion models: DDPM, rectified flow and EDM, with guidance, their denoisers and samplers."""
