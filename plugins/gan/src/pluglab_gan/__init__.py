"""Adversarial generators: DCGAN, SN-GAN, SAGAN, StyleGAN2-lite, ACGAN."""
