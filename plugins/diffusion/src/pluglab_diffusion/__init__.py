"""Diffusion models: DDPM with classifier-free guidance, its U-Nets, noise schedules and samplers."""
