"""Variational autoencoders, and what is asked of models with a latent space."""
