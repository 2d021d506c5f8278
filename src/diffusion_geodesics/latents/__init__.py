"""What every job does with latents: encode, measure, decode."""
