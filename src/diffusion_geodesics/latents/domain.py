r"""Does the model know such images? They are compared with the model's own samples.

Densities and geodesics of a model say nothing about images that it does not know, and nothing in
the figures themselves shows it. Three measures do, each compared with its spread over images that
the model itself draws:

- the autoencoder's reconstruction, in dB;
- the *denoising error*: noise drawn at the level is added, :math:`x = a x_0 + \sigma\varepsilon`,
  and removed again, :math:`|\hat x_0 - x_0| / \sqrt d`. It is the term of that level in the bound
  on the log likelihood (Kingma et al., NeurIPS 2021; Graham et al., CVPR workshops 2023);
- the noise energy :math:`\sigma |s| / \sqrt d` of the *inverted* latent: about 1 where the latent
  carries noise as the level implies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Latents, sample
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.encode import ModelParts, carry_up, geometry_dtype
from diffusion_geodesics.latents.settings import Inversion
from diffusion_geodesics.points import seeded_noise

SETTLED = 1e-2
"""Change of an inverted latent, root mean square, at which it is refined no further."""
SAMPLES = 16
"""Images drawn from the model to know its domain."""
LOSSLESS = 100.0
"""dB at which a reconstruction counts as exact; that of an autoencoder that loses nothing is
infinite, which has no spread."""
_SAMPLING_STEPS = 20
_WIDTH = 5.0
"""Standard deviations of the model's own images that are still its domain."""


@dataclass(frozen=True)
class DomainStatistics:
    """How well a model knows images: PSNR of the autoencoder's reconstruction in dB, error of the
    denoised latent per coordinate, noise energy of the inverted latent; one value an image."""

    psnr: Float[Tensor, " images"]
    denoising: Float[Tensor, " some"]
    energy: Float[Tensor, " all"]


@dataclass(frozen=True, eq=False)
class Domain:
    """What images drawn from the model are like, and what that says about others."""

    own: DomainStatistics

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Least PSNR, greatest denoising error, least and greatest energy of known images: five
        standard deviations, and at least 10 dB (its own images are easy for the autoencoder), 15%,
        and a quarter.
        """
        own = self.own
        values = own.psnr.clamp(max=LOSSLESS), own.denoising, own.energy
        fidelity, error, energy = (float(v.mean()) for v in values)
        wide = [_WIDTH * float(v.std()) for v in values]
        margin = max(wide[2], 0.25 * energy)
        return (
            fidelity - max(wide[0], 10.0),
            error + max(wide[1], 0.15 * error),
            energy - margin,
            energy + margin,
        )

    def foreign(self, other: DomainStatistics) -> tuple[str, ...]:
        """Why images are not the model's own kind, by their medians; nothing where they are."""
        least, error, low, high = self.limits
        fidelity, denoising, energy = (
            float(v.median()) for v in (other.psnr, other.denoising, other.energy)
        )
        reasons: list[str] = []
        if not fidelity >= least:
            reasons.append(
                f"the autoencoder reproduces them at {fidelity:.1f} dB (its own images: "
                f"{float(self.own.psnr.mean()):.1f}; below {least:.1f} is foreign)"
            )
        if not denoising <= error:
            reasons.append(
                f"noise cannot be told from them: denoising error {denoising:.2f} (its own: "
                f"{float(self.own.denoising.mean()):.2f}; above {error:.2f} is foreign)"
            )
        if not low <= energy <= high:
            reasons.append(
                f"their latents carry {energy:.2f} of the noise that the level implies (its own: "
                f"{float(self.own.energy.mean()):.2f}; outside {low:.2f} to {high:.2f} is foreign)"
            )
        return tuple(reasons)


def learn_domain(parts: ModelParts, condition: Condition, inversion: Inversion) -> Domain:
    """Draw images from the model (seeded) and measure them as other images are measured.

    Cost: 16 images of 20 sampling steps, their inversion, and two evaluations each: 592 at the
    default level, and no more than 16 inversions else.
    """
    denoiser, codec = parts.denoiser, parts.codec
    dim, device = denoiser.network.dim, condition.parts[0].device
    noise = seeded_noise(
        (SAMPLES, dim), 0, torch.empty(0, dtype=geometry_dtype(device), device=device)
    )
    drawn = sample(denoiser, noise, condition, steps=_SAMPLING_STEPS, level=1.0)
    images = codec.decode(drawn)
    coded = codec.encode(images)
    clean = coded.to(noise.dtype)
    x = carry_up(parts, clean, condition, inversion, tolerance=SETTLED)
    timestep = parts.level(inversion).timestep
    energy = torch.linalg.vector_norm(denoiser.epsilon(x, timestep, condition), dim=1) / dim**0.5
    error = denoising_error(parts, clean, condition, inversion)
    return Domain(DomainStatistics(psnr(codec.decode(coded), images), error, energy))


def denoising_error(
    parts: ModelParts, clean: Latents, condition: Condition, inversion: Inversion
) -> Float[Tensor, " images"]:
    """Root mean square error per coordinate of latents noised to the level (seeded) and denoised in
    one evaluation each."""
    level = parts.level(inversion)
    noise = seeded_noise(clean.shape, 1, clean)
    found = parts.denoiser.epsilon(level.a * clean + level.sigma * noise, level.timestep, condition)
    return (found - noise).square().mean(1).sqrt() * (level.sigma / level.a)
