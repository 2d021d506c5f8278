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
from diffusion_geodesics.interpolation.timeline import Chain, Timeline, timeline
from diffusion_geodesics.latents.choices import curve_of
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.run import Run

COMPARED = 9
"""Most frames a segment that are decoded of the path that the result is compared with."""


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
        """The film. Cost: one evaluation a frame and sampling step; none for what is kept."""
        profiles = [segment.profile for segment in self.segments]
        return self._decoded(run, 0, timeline(self.settings.film, self.chain, profiles))

    def compared(self, run: Run, frames: int) -> Strip:
        """At most 9 frames a segment, and at most as many as the film has, of the first path that
        the film's is compared with."""
        profiles = [segment.references[0] for segment in self.segments]
        least = len(self.chain.legs) + (not self.chain.closed)
        count = min(max(COMPARED * len(self.segments), least), frames)
        return self._decoded(run, 1, timeline(self.settings.film, self.chain, profiles, count))

    def _decoded(self, run: Run, which: int, places: Timeline) -> Strip:
        found = []
        for group in groups_of(len(self.segments)):
            here = (places.segment >= group.start) & (places.segment < group.stop)
            found.append(self._group(run, which, group, places.t[here], places.segment[here]))
        name = self.segments[0].profiles[which].name
        frames, alpha = torch.cat(found), self._alpha(places)
        if self.mask is None:
            return Strip(name, frames, places, alpha)
        share, colours = self._share(places.segment, places.t), frames.shape[1]
        if alpha is not None:
            frames = torch.cat([frames, alpha.to(frames)], 1)
        frames = self.mask.on_frames(frames, share)
        alpha = None if alpha is None else frames[:, colours:].to(alpha)
        return Strip(name, frames[:, :colours], places, alpha)

    def _group(
        self, run: Run, which: int, group: slice, t: Tensor, segment: Tensor
    ) -> Float[Tensor, "frames 3 height width"]:
        """Frames of one group of segments, in one batch."""
        latents, conditions = [], []
        for number in range(group.start, group.stop):
            here = t[segment == number]
            latents.append(self.segments[number].profiles[which].path.latent(here))
            conditions.append(self._condition(self.segments[number], here))
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
