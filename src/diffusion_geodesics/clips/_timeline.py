"""When each frame of a video is shown, from the time stamps in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float64, Int64

from diffusion_geodesics.clips._container import reason
from diffusion_geodesics.clips.clip import ClipError
from diffusion_geodesics.clips.times import even_times, mean_rate, uneven_intervals

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_MISSING = 0.02
"""Share of the frames or seconds announced that may be missing before a file is cut short."""
_MISSING_SECONDS = 0.1
"""The same share where only the length of the whole file is announced, sound included."""
_NOMINAL = 0.01
"""Share by which the rate that a file names may differ from the one measured, and be used."""
_WITHOUT_TIMES = ("avi",)  # formats that store when frames are decoded, but not when they are shown
_USUAL_RATE = 25.0  # frames a second of files that say nothing


@final
@dataclass(frozen=True, eq=False)
class Timeline:
    """When each frame is shown."""

    times: Float64[np.ndarray, " frames"]  # seconds after the first frame, not falling
    # time stamps of the frames, rising, where those of the decoder can be looked up among them;
    # None where frames can only be counted
    stamps: Int64[np.ndarray, " frames"] | None
    tick: float  # seconds to which times are rounded
    rate: float  # frames a second, on average
    notes: tuple[str, ...] = ()  # what must be known of the times, in words

    def place(self, stamp: int | None, previous: int) -> tuple[int, float]:
        """Number and time of a decoded frame."""
        index = previous + 1
        if self.stamps is not None and stamp is not None:
            found = int(np.searchsorted(self.stamps, stamp))
            if found >= index and found < len(self.stamps) and self.stamps[found] == stamp:
                index = found
        if index < len(self.times):
            return index, float(self.times[index])
        return index, float(self.times[-1]) + (index - len(self.times) + 1) / self.rate

    def stamp_before(self, time: float) -> int | None:
        """Time stamp of the last frame at or before a time; None where stamps are of no use."""
        if self.stamps is None:
            return None
        found = int(np.searchsorted(self.times, time, side="right")) - 1
        return int(self.stamps[max(found, 0)])


@dataclass
class _Packets:
    """What the coded frames of a stream say, in the order in which they stand in the file."""

    shown: list[int | None] = field(default_factory=list)
    decoded: list[int | None] = field(default_factory=list)
    read: int = 0
    first: float | None = None
    last: float = 0.0
    """Seconds at which the last packet of any stream ends."""
    own: float = 0.0
    """Seconds at which the last packet of the stream ends."""

    def add(self, packet: Packet, wanted: bool) -> None:
        """Take down a packet of the stream, or of another one."""
        if packet.pts is not None and packet.time_base is not None:
            start = float(packet.pts * packet.time_base)
            end = start + float((packet.duration or 0) * packet.time_base)
            self.last = max(self.last, end)
            if wanted:
                self.own = max(self.own, end)
                self.first = start if self.first is None else min(self.first, start)
        if not wanted or not packet.size:
            return
        self.read += 1
        if not packet.is_corrupt and not packet.is_discard:
            self.shown.append(packet.pts)
            self.decoded.append(packet.dts)


def read_timeline(container: InputContainer, stream: VideoStream, name: str) -> Timeline:
    """The times of all frames, without decoding any."""
    packets = _Packets()
    try:
        for packet in container.demux():
            packets.add(packet, packet.stream_index == stream.index)
    except Exception as error:
        raise ClipError(
            f"{name} is damaged or cut short after frame {len(packets.shown)} "
            f"({reason(error)}); fetch it again"
        ) from error
    _check_whole(container, stream, packets, name)
    if not packets.shown:
        raise ClipError(f"{name} holds no frame; export it again")
    return _timeline(stream, packets, container.format.name in _WITHOUT_TIMES)


def _check_whole(
    container: InputContainer, stream: VideoStream, packets: _Packets, name: str
) -> None:
    """Refuse a file that ends before the end that it announces.

    Some formats count that end from zero and some from the first frame: the later reading is
    taken. Frames alone prove nothing, since an edit list may leave some of them out.
    """
    announced, seconds, own = stream.frames, 0.0, False
    if stream.duration is not None and stream.time_base is not None:
        seconds, own = float(stream.duration * stream.time_base), True
    elif container.duration is not None:
        seconds = container.duration / 1e6
    first, end = packets.first or 0.0, packets.own if own else packets.last
    late = max(end, end - first)
    if announced:
        usual = seconds / announced
        short = seconds - late > max(2.5 * usual, _MISSING * seconds) or not seconds
        cut = short and announced - packets.read > max(2, _MISSING * announced)
        what = f"{packets.read} of {announced} frames are there"
    else:
        length = seconds - first if 0.0 < first < seconds else seconds
        cut = seconds - late > max(1.0, _MISSING_SECONDS * length)
        what = f"{late:.1f} s are there of {seconds:.1f}"
    if cut:
        raise ClipError(
            f"{name} is cut short: {what}; fetch it again, or re-encode the part that plays"
        )


def _timeline(stream: VideoStream, packets: _Packets, ordered_only: bool) -> Timeline:
    count = len(packets.shown)
    base = stream.time_base or Fraction(1)
    nominal = float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    stamps = _known(packets.shown)
    if stamps is not None and not ordered_only and not _jumps_back(packets.decoded):
        rising = np.unique(stamps)
        if len(rising) == count:
            return _finished(_seconds(rising, base), rising, base, nominal, ())
    # Otherwise the stamps tell how long frames are shown, and their order which is which.
    decoded = _known(packets.decoded)
    stamps = decoded if decoded is not None or stamps is None else np.sort(stamps)
    if stamps is None or len(np.unique(stamps)) <= count // 2:
        rate = float(stream.guessed_rate or stream.average_rate or _USUAL_RATE)
        note = f"the file gives no times; its frames are taken as {rate:.4g} a second"
        return Timeline(even_times(count, rate), None, 0.0, rate, (note,))
    times, notes = _joined(stamps, base, nominal)
    return _finished(times, None, base, nominal, notes)


def _known(stamps: list[int | None]) -> np.ndarray | None:
    if any(stamp is None for stamp in stamps):
        return None
    return np.asarray(stamps, dtype=np.int64)


def _jumps_back(decoded: list[int | None]) -> bool:
    known = np.asarray([stamp for stamp in decoded if stamp is not None], dtype=np.int64)
    return bool((known[1:] < known[:-1]).any())


def _seconds(stamps: np.ndarray, base: Fraction) -> np.ndarray:
    """Seconds after the first; as floats, since stamps of damaged files overflow."""
    return (stamps.astype(np.float64) - float(stamps[0])) * float(base)


def _joined(
    stamps: np.ndarray, base: Fraction, nominal: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Times of frames whose stamps start again now and then: each part follows on the last."""
    breaks = np.flatnonzero(stamps[1:] < stamps[:-1]) + 1
    parts = [_seconds(part, base) for part in np.split(stamps, breaks)]
    steps = np.concatenate([np.diff(part) for part in parts])
    usual = float(np.median(steps[steps > 0.0])) if bool((steps > 0.0).any()) else 1.0 / nominal
    lengths = np.array([part[-1] + usual for part in parts])
    starts = np.concatenate([[0.0], lengths.cumsum()[:-1]])
    times = np.concatenate([start + part for start, part in zip(starts, parts, strict=True)])
    if not len(breaks):
        return times, ()
    again = "once" if len(breaks) == 1 else f"{len(breaks)} times"
    return times, (f"its times start again {again}; each part is taken to follow on the last",)


def _finished(
    times: np.ndarray,
    stamps: np.ndarray | None,
    base: Fraction,
    nominal: float,
    notes: tuple[str, ...],
) -> Timeline:
    tick = float(base)
    measured = mean_rate(times, nominal)
    uneven = uneven_intervals(times, tick)
    close = abs(nominal - measured) <= _NOMINAL * measured
    rate = nominal if close and not uneven else measured
    return Timeline(times, stamps, tick, rate, (*notes, *uneven))
