"""Recipe of the embedded portrait model: renderer, autoencoder, denoiser, export, evaluation."""
