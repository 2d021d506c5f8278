"""Manifolds: the space in which paths are constrained to lie.

- :class:`Flat`: no constraint; the default.
- :class:`Sphere`: a fixed norm, on which noised latents of a diffusion model concentrate.
- :class:`TypicalShell`: the points at which the noise has its expected energy. Only a score is
  needed, but it has no exponential map, so that rays cannot be integrated on it.

:class:`SpaceForm` is the base class of those with an exponential map, :class:`Manifold` of all.
"""

from diffusion_geodesics.manifold import Flat, Manifold, SpaceForm, Sphere, TypicalShell

__all__ = ["Flat", "Manifold", "SpaceForm", "Sphere", "TypicalShell"]
