"""The frames of a film: latents along the chain, denoised and decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence import warp
from diffusion_geodesics.diffusion import Condition, guidance_bump
from diffusion_geodesics.images import psnr
from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.mask import Mask
from diffusion_geodesics.interpolation.result import Segment, Strip
from diffusion_geodesics.interpolation.segments import groups_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import (
    Chain,
    Timeline,
    compared_frames,
    timeline,
)
from diffusion_geodesics.latents.choices import curve_of
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.mixture import Mixed
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.run import Run


@final
@dataclass(frozen=True, eq=False)
class Decoder:
    """What the frames of a film are made from."""

    noised: Noised  # the images
    segments: Sequence[Segment]  # between them, in the order of the film
    settings: InterpolationSettings  # of the frames
    chain: Chain  # which images the segments join
    mask: Mask | None  # where frames stay as they are; None where all of them changes
    keys: Sequence[str]  # of the segments
    kept: KeptSegments  # where denoised latents are

    def film(self, run: Run) -> Strip:
        """The film. Cost: one evaluation a frame and sampling step; none for what is kept, or for
        images in a film of mixtures."""
        profiles = [segment.profile for segment in self.segments]
        return self._decoded(run, 0, timeline(self.settings.film, self.chain, profiles))

    def compared(self, run: Run, film: Strip) -> tuple[Strip, ...]:
        """Fewer frames of slerp (of lerp beside slerp), and of the geodesic unless the film has it.

        The frames of the images themselves are those of the film, without its own pixels. Cost:
        three frames a segment and path, each one evaluation a sampling step."""
        count, found = compared_frames(self.chain, len(film.frames)), []
        for which, profile in enumerate(self.segments[0].profiles):
            if which == 1 or (which > 1 and profile.name == "geodesic"):
                profiles = [segment.profiles[which] for segment in self.segments]
                places = timeline(self.settings.film, self.chain, profiles, count)
                found.append(self._decoded(run, which, places, film))
        return tuple(found)

    def _decoded(self, run: Run, which: int, places: Timeline, film: Strip | None = None) -> Strip:
        """Frames of one path; those of the images are taken from a film that has them."""
        new = torch.ones(len(places.t), dtype=torch.bool)
        if film is not None:
            new[list(places.keyframes)] = False
        found = []
        for group in groups_of(len(self.segments)):
            here = new & (places.segment >= group.start) & (places.segment < group.stop)
            if bool(here.any()):
                found.append(self._group(run, which, group, places.t[here], places.segment[here]))
        name, alpha = self.segments[0].profiles[which].name, self._alpha(places)
        like = found[0] if film is None else film.frames
        frames = like.new_zeros(len(new), *like.shape[1:])
        if found:
            frames[new] = torch.cat(found).to(like)
        if self.mask is not None:
            share, colours = self._share(places.segment, places.t), frames.shape[1]
            if alpha is not None:
                frames = torch.cat([frames, alpha.to(frames)], 1)
            frames = self.mask.on_frames(frames, share)
            alpha = None if alpha is None else frames[:, colours:].to(alpha)
            frames = frames[:, :colours]
        if film is not None:
            frames[list(places.keyframes)] = film.frames[list(film.timeline.keyframes)]
        return Strip(name, frames, places, alpha)

    def _group(
        self, run: Run, which: int, group: slice, t: Tensor, segment: Tensor
    ) -> Float[Tensor, "frames 3 height width"]:
        """Frames of one group of segments, in one batch."""
        latents, conditions, mixed = [], [], []
        for number in range(group.start, group.stop):
            here = t[segment == number]
            latents.append(self.segments[number].profiles[which].path.latent(here))
            conditions.append(self._condition(self.segments[number], here))
            mixture = self.segments[number].mixture
            if mixture is not None and which == 0:
                mixed.append(mixture.at(here))
        x = torch.cat(latents)
        if self.mask is not None:
            x = self.mask.on_latents(x, self._share(segment, t), self.noised)
        guidance = self.settings.film.guidance
        key = content_key(self.keys[group], which, t, guidance, self.mask)

        def keep(denoise: Callable[[], Tensor]) -> Tensor:
            return self.kept.get([key], lambda: [denoise()])[0]

        return decode(
            run,
            self.noised.parts,
            self.noised.inversion,
            x,
            Condition.stack(conditions),
            negative=self.noised.encoded.negative,
            guidance=guidance_bump(t.to(x), guidance),
            stage="compare" if which else "decode",
            mixed=Mixed.cat(mixed) if mixed else None,
            keep=keep,
        )

    def _condition(self, segment: Segment, t: Float[Tensor, " frames"]) -> Condition:
        encoded = self.noised.encoded
        first, last = encoded.conditions[segment.first], encoded.conditions[segment.last]
        return curve_of(encoded.prompts.blend, first, last).at(t.to(self.noised.latents))

    def _share(self, segment: Tensor, t: Tensor) -> Float[Tensor, " frames"]:
        """The share of the second image, for films of two."""
        pairs = torch.tensor(self.chain.pairs, dtype=t.dtype)[segment].clamp(max=1)
        return torch.lerp(pairs[:, 0], pairs[:, 1], t)

    def _alpha(self, places: Timeline) -> Float[Tensor, "frames 1 height width"] | None:
        """Opacity of the frames, along the same correspondences as the colours."""
        alpha = self.noised.encoded.pictures.alpha
        if alpha is None:
            return None
        found = []
        for number, segment in enumerate(self.segments):
            t = places.t[places.segment == number]
            ends = alpha[[segment.first, segment.last]]
            first, last = ends[:, None]
            if segment.matches is not None:
                first, last = warp(ends.to(segment.matches.displacement.device), segment.matches, t)
            found.append(torch.lerp(first, last, t[:, None, None, None].to(first)).cpu())
        return torch.cat(found).clamp(0, 1)


def at_keyframes(strip: Strip, noised: Noised) -> Float[Tensor, " images"]:
    """How well the film shows each keyframe, in dB."""
    shown = strip.frames[list(strip.timeline.keyframes)]
    return psnr(shown, noised.encoded.images.to(shown))


def with_pixels(strip: Strip, noised: Noised) -> Strip:
    """The film with the keyframes' own pixels in their places."""
    frames = strip.frames.clone()
    frames[list(strip.timeline.keyframes)] = noised.encoded.images.to(frames)
    return replace(strip, frames=frames)
