r"""Films of which a part stays as it is.

White of a mask changes, black stays. A soft edge lies inside the white: the weight of the morph
rises from 0 at the black to 1 at the feather's width, so that what is black is kept bit by bit.

- The images after the first are laid over the first where the mask is black, and encoded so.
- Latents at the noise level, where they show only what stays, are those of the first image.
- Decoded frames :math:`f` become :math:`w f + (1 - w) s` with the weight :math:`w` and the still
  image :math:`s`.

With a second mask, of two images, the weight goes linearly from one mask to the other and the still
part from the pixels of the first image to those of the second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from diffusion_geodesics.framing import CentreCrop, Pad, fit
from diffusion_geodesics.images import read_image
from diffusion_geodesics.interpolation.settings import MaskSettings
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.settings import Framing
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.settings import SettingsError

NEARLY = 6 / 255
"""Grey that is taken for black, and as far from white for white: what JPEG makes of both."""


@final
@dataclass(frozen=True, eq=False)
class Mask:
    """Where and how much a film changes."""

    first: Float[Tensor, "1 height width"]  # weight of the morph with the first image
    last: Float[Tensor, "1 height width"]  # with the second; the same tensor if there is one mask
    still: Float[Tensor, "2 channels height width"]  # what stays, of the first and of the second

    @property
    def single(self) -> bool:
        """Whether there is one mask only."""
        return self.last is self.first

    def weight(self, share: Float[Tensor, " frames"]) -> Float[Tensor, "frames 1 height width"]:
        """Weight of the morph, given the share of the second image."""
        return torch.lerp(self.first, self.last, share[:, None, None, None].to(self.first))

    def on_frames(
        self, frames: Float[Tensor, "frames channels height width"], share: Float[Tensor, " frames"]
    ) -> Float[Tensor, "frames channels height width"]:
        """Frames with what stays laid over them; bit-equal to it where the weight is 0."""
        weight = self.weight(share).to(frames)
        first, last = self.still[:, : frames.shape[1]].to(frames)
        still = torch.lerp(first, last, share[:, None, None, None].to(frames))
        still = torch.where(first == last, first, still)
        mixed = torch.lerp(still, frames, weight)
        return torch.where(weight == 0, still, torch.where(weight == 1, frames, mixed))

    def on_latents(
        self, x: Float[Tensor, "frames dim"], share: Float[Tensor, " frames"], noised: Noised
    ) -> Float[Tensor, "frames dim"]:
        """Latents at the noise level, with those of what stays where nothing else is seen."""
        channels, *grid = noised.encoded.codec.latent_shape
        seen = adaptive_max_pool2d(self.weight(share), tuple(grid)) > 0
        seen = seen.expand(-1, channels, -1, -1).flatten(1).to(x.device)
        ends = noised.latents[[0, 0] if self.single else [0, 1]]
        still = ends[:1] if self.single else GreatArc(ends[0], ends[1])(share)
        return torch.where(seen, x, still.to(x))


def load_mask(pictures: Pictures, settings: MaskSettings, framing: Framing) -> Mask | None:
    """The mask of the settings; None where there is none."""
    if settings.mask is None:
        return None
    if settings.mask_b is not None and len(pictures.images) != 2:
        raise SettingsError(
            f"mask_b is for films of two images, and got {len(pictures.images)}; leave it out"
        )
    first = _weight(settings.mask, 0, pictures, settings.feather, framing)
    last = first
    if settings.mask_b is not None:
        last = _weight(settings.mask_b, 1, pictures, settings.feather, framing)
    return Mask(first, last, _with_alpha(pictures)[[0, 0] if last is first else [0, 1]])


def _with_alpha(pictures: Pictures) -> Float[Tensor, "images channels height width"]:
    alpha = pictures.alpha
    return pictures.images if alpha is None else torch.cat([pictures.images, alpha], 1)


def masked(pictures: Pictures, mask: Mask | None) -> Pictures:
    """The images as the film shows them: where one mask is black, the first one."""
    if mask is None or not mask.single:
        return pictures
    every = _with_alpha(pictures)
    every = torch.cat([every[:1], mask.on_frames(every[1:], torch.zeros(len(every) - 1))])
    notes = (pictures.notes[0], *(f"{n}; outside the mask: image 1" for n in pictures.notes[1:]))
    alpha = None if pictures.alpha is None else every[:, 3:]
    return replace(pictures, images=every[:, :3], alpha=alpha, notes=notes)


def _weight(
    file: Path, number: int, pictures: Pictures, feather: int, framing: Framing
) -> Float[Tensor, "1 height width"]:
    """The weights of a mask at the working size."""
    picture = read_image(file)
    pixels, size, original = picture.pixels, pictures.size, pictures.original[number]
    found = tuple(pixels.shape[1:])
    if found not in (original, size):
        raise SettingsError(
            f"{file} has {found[1]}x{found[0]} pixels; expected a mask of the size of image "
            f"{number + 1}, {original[1]}x{original[0]}"
        )
    if picture.alpha is not None or bool((pixels - pixels[:1]).abs().max() > 2 / 255):
        what = "colours" if picture.alpha is None else "an alpha channel"
        raise SettingsError(f"{file} has {what}; expected grey: white changes, black stays")
    how = fit_of(framing) if found == original else CentreCrop()
    grey = fit(pixels[:1], *size, Pad(0.0) if isinstance(how, Pad) else how).image
    grey = torch.where(grey < NEARLY, 0.0, torch.where(grey > 1 - NEARLY, 1.0, grey))
    if not 0 < float(grey.mean()) < 1:
        white = bool(grey.mean() == 1)
        raise SettingsError(
            f"{file} is all {'white: nothing would stay' if white else 'black: nothing changes'}; "
            "expected white where the image changes and black where it stays"
            + (", or leave it out" if white else "")
        )
    return _feathered(grey, feather)


def _feathered(
    grey: Float[Tensor, "1 height width"], width: int
) -> Float[Tensor, "1 height width"]:
    """Weights that rise smoothly over a width inside of what is not black."""
    from scipy.ndimage import distance_transform_edt

    if width == 0:
        return grey
    distance = torch.from_numpy(distance_transform_edt(grey[0].numpy() > 0)).to(grey)
    rise = (distance / (width + 1)).clamp(max=1)
    return grey * (rise * rise * (3 - 2 * rise))
