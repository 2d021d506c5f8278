"""Probability density geodesics in the latent space of pretrained diffusion models."""
