"""Clips as latents: frames are streamed, so that memory does not grow with the length of a clip."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import interpolate as resize

from diffusion_geodesics import clips
from diffusion_geodesics.diffusion import Codec
from diffusion_geodesics.framing import fit
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.encode import ModelParts
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.settings import ReadingSettings, VideoSettings

_BATCH = 16
_THUMBNAIL = 192  # height of the frames that are kept for strips


def reading_of(settings: ReadingSettings) -> clips.Reading:
    """Which frames of a clip are wanted."""
    start, end = _moment(settings.start), _moment(settings.end)
    return clips.Reading(settings.fps, start, end, settings.stride)


def _moment(text: str | None) -> clips.Moment | None:
    if text is None:
        return None
    if text.endswith("f"):
        return clips.FrameNumber(int(text[:-1]))
    return clips.Seconds(float(text.rstrip("s")))


@dataclass
class EncodedShot:
    """The frames of a shot as they come in: latents and thumbnails, no full-size pixels."""

    frames: list[int] = field(default_factory=list)  # numbers of the frames in the file
    times: list[float] = field(default_factory=list)  # when they are shown, in seconds
    clean: list[Tensor] = field(default_factory=list)  # latents, in batches
    thumbnails: list[Tensor] = field(default_factory=list)  # small frames, (3, height, width) each
    psnr: list[Tensor] = field(default_factory=list)  # of a frame of each batch when decoded, dB
    ended: str = ""  # why the shot ended, in words; empty where the clip did
    _waiting: list[Tensor] = field(default_factory=list)

    def take(self, frame: clips.Frame, codec: Codec) -> None:
        """Add a frame, encoding when a batch is full."""
        self.frames.append(frame.index)
        self.times.append(frame.time)
        self._waiting.append(frame.image)
        if len(self._waiting) == _BATCH:
            self.flush(codec)

    def flush(self, codec: Codec) -> None:
        """Encode what waits; the first image of a batch is decoded again, for its PSNR."""
        if not self._waiting:
            return
        images = torch.stack(self._waiting)
        clean = codec.encode(images)
        self.clean.append(clean)
        self.psnr.append(psnr(codec.decode(clean[:1]), images[:1].to(clean)))
        self.thumbnails += [thumbnail(image) for image in images]
        self._waiting = []


def encoded_shots(
    run: Run, clip: clips.Clip, parts: ModelParts, settings: VideoSettings, size: tuple[int, int]
) -> Iterator[EncodedShot]:
    """The shots of a clip, encoded one after the other."""
    reading, chosen = reading_of(settings.reading), settings.reading
    how = fit_of(settings.framing)
    stream = clip.frames(reading, lambda image: fit(image, *size, how).image.float())
    frames = iter(clips.shots(stream, clips.CutRule() if chosen.cuts else None))
    expected, done = clip.expected(reading) or 0, 0
    shot, more = EncodedShot(), True
    while more:
        with run.stage("read", total=expected) as stage:
            stage(done, max(done, expected), clip.name)
            finished = None
            for found in frames:
                long = len(shot.frames) == chosen.longest
                if shot.frames and (found.cut or long):
                    finished = shot
                    finished.flush(parts.codec)
                    finished.ended = f"{chosen.longest} frames, as many as are analysed at once"
                    if found.cut:
                        finished.ended = f"a cut before frame {found.frame.index}"
                    shot = EncodedShot()
                shot.take(found.frame, parts.codec)
                done += 1
                stage(done, max(done, expected), clip.name)
                if finished is not None:
                    break
            else:
                more = False
                shot.flush(parts.codec)
        if finished is not None:
            yield finished
    if not done:
        raise clips.ClipError(
            f"{clip.name} has no frame in the range that was asked for; it has "
            f"{clip.count or 'fewer'} frames at {clip.rate:.4g} a second"
        )
    yield shot


def thumbnail(image: Tensor) -> Tensor:
    """The image, no higher than strips show it."""
    if image.shape[1] <= _THUMBNAIL:
        return image
    size = _THUMBNAIL, round(image.shape[2] * _THUMBNAIL / image.shape[1])
    small = resize(image[None], size=size, mode="bicubic", antialias=True, align_corners=False)
    return small[0].clamp(0, 1)
