"""Video files: MP4, WebM and whatever else FFmpeg reads."""

import os
from collections.abc import Iterator
from functools import partial
from typing import final

from diffusion_geodesics.clips._container import choose_stream, moving_pictures, opened, reason
from diffusion_geodesics.clips._decoding import DecodedFrame, decoded
from diffusion_geodesics.clips._frames import FrameLayout, read_pixels
from diffusion_geodesics.clips._timeline import Timeline, read_timeline
from diffusion_geodesics.clips.clip import Clip, ClipError, LazyFrame, check_size
from diffusion_geodesics.clips.reading import Moment, Seconds
from diffusion_geodesics.runtime.paths import expand, printable

_WORTH_SEEKING = 2.0  # seconds of film that are decoded and thrown away rather than jumped over


@final
class VideoClip(Clip):
    """One video stream of a file.

    Frames are upright and mirrored as the file's display matrix says, with square pixels, in
    sRGB: high dynamic range (PQ, HLG) is tone-mapped and wide colours (BT.2020, P3) are brought
    to sRGB; transparency is laid on white. More than 4096 pixels along an edge are scaled down.
    """

    def __init__(self, path: str | os.PathLike[str], stream: int | None = None):
        self.path = expand(path)
        self.name = printable(self.path.name)
        self._shown = printable(self.path)
        with opened(self.path) as container:
            self.stream = choose_stream(container, self._shown, stream)
            chosen = container.streams.video[self.stream]
            aspect = chosen.sample_aspect_ratio
            others = len(moving_pictures(container))
            self._timeline: Timeline = read_timeline(container, chosen, self._shown)
        timeline = self._timeline
        self.times, self.tick, self.rate = timeline.times, timeline.tick, timeline.rate
        first, self._layout = self._first_frame(float(aspect) if aspect else 1.0)
        image = read_pixels(first, self._layout, self._shown)
        self.size = check_size(self._shown, (int(image.shape[1]), int(image.shape[2])))
        self.notes = (*timeline.notes, *self._layout.notes)
        if others > 1:
            about = f"{self.size[1]}x{self.size[0]}, {self.count} frames"
            which = f"video stream {self.stream} of {others} was read ({about})"
            self.notes = (which, *self.notes)

    def _first_frame(self, aspect: float) -> tuple[DecodedFrame, FrameLayout]:
        frame = next((found for found, _, _ in self._decode(None)), None)
        if frame is None:
            raise ClipError(f"{self._shown} is damaged: not one frame can be read; fetch it again")
        return frame, FrameLayout.of(frame, aspect, self._shown)

    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        late = start.value if isinstance(start, Seconds) else 0.0
        target = self._timeline.stamp_before(late) if late > _WORTH_SEEKING else None
        for seek_to in (None,) if target is None else (target, None):
            arrived = False
            for frame, index, time in self._decode(seek_to):
                if not arrived and seek_to is not None and time > late:
                    break  # a file whose index is wrong: read from the first frame
                arrived = True
                load = partial(read_pixels, frame, self._layout, self._shown)
                yield LazyFrame(index, time, load)
            if arrived:
                return

    def _decode(self, seek_to: int | None) -> Iterator[tuple[DecodedFrame, int, float]]:
        """Frames with their numbers and times, from the one with a time stamp, or from the first.

        A frame that is shown for no time, replaced at once by the next, is left out, and so are
        damaged frames before the first whole one, which a recording that was joined late begins
        with.
        """
        index, time = -1, -1.0
        with opened(self.path) as container:
            stream = container.streams.video[self.stream]
            try:
                if seek_to is not None:
                    container.seek(seek_to, stream=stream)
                for decoding in decoded(container, stream):
                    damaged = decoding.frame.is_corrupt
                    index, at = self._timeline.place(decoding.frame.pts, index)
                    if damaged and time >= 0.0:
                        raise ClipError(_damaged(self._shown, index, "it cannot be decoded"))
                    if at > time and not damaged:
                        time = at
                        yield decoding, index, time
            except ClipError:
                raise
            except Exception as error:  # FFmpeg's kinds, and PyAV's own on damaged files
                raise ClipError(_damaged(self._shown, max(index, 0), reason(error))) from error


def _damaged(name: str, index: int, why: str) -> str:
    remedy = "fetch it again, or read only up to there"
    return f"{name} is damaged after frame {index} ({why}); {remedy}"
