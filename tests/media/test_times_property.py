"""Frame i of a result shows at the time of the driver's frame i, and the file lasts as long as the driver."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import grey_images, grey_levels
from PIL import Image

from megactor_core.media.reading import DrivingSource, open_driving
from megactor_core.media.writing import VideoWriter

MILLISECOND = Fraction(1, 1000)
# The format's precision in seconds, twice: a time and the first time that it counts from are both rounded.
PRECISION = {".mp4": Fraction(1, 5000), ".mov": Fraction(1, 5000), ".gif": Fraction(1, 100)}
COUNT = 20


@dataclass(frozen=True)
class Clip:
    """What a file is told, and what is to be made of it.

    Attributes:
        stamps: of the frames, in milliseconds; may be wrong.
        last: milliseconds that the last frame lasts.
        moved: frames whose stamp is wrong.
    """

    stamps: tuple[int, ...]
    last: int
    moved: tuple[int, ...] = ()

    @property
    def end(self) -> Fraction:
        return (max(self.stamps) + self.last - self.stamps[0]) * MILLISECOND


def _even(rng: random.Random, rate: Fraction = Fraction(25)) -> Clip:
    stamps = tuple(round(1000 * index / rate) for index in range(COUNT))
    return Clip(stamps, round(1000 / rate))


def _uneven(rng: random.Random) -> Clip:
    stamps = np.cumsum([0, *(rng.randint(21, 70) for _ in range(COUNT - 1))]).tolist()
    return Clip(tuple(stamps), rng.randint(21, 70))


def _moved(rng: random.Random, by: Callable[[int, int], int]) -> Clip:
    clip = _uneven(rng)
    index = rng.randrange(4, COUNT - 4)
    stamps = list(clip.stamps)
    stamps[index] = by(stamps[index - 1], stamps[index])
    return replace(clip, stamps=tuple(stamps), moved=(index,))


def _gap(rng: random.Random) -> Clip:
    clip = _uneven(rng)
    index = rng.randrange(4, COUNT - 4)
    later = tuple(stamp + 1_200_000 for stamp in clip.stamps[index:])
    return replace(clip, stamps=clip.stamps[:index] + later)


def _late(rng: random.Random) -> Clip:
    clip = _uneven(rng)
    return replace(clip, stamps=tuple(stamp + 500 for stamp in clip.stamps))


KINDS: dict[str, Callable[[random.Random], Clip]] = {
    "even": _even,
    "ntsc": lambda rng: _even(rng, Fraction(30000, 1001)),
    "uneven": _uneven,
    "repeated": lambda rng: _moved(rng, lambda before, own: before),
    "backward": lambda rng: _moved(rng, lambda before, own: before - 15),
    "far ahead": lambda rng: _moved(rng, lambda before, own: own + 5000),
    "gap of 20 minutes": _gap,
    "even, last frame long": lambda rng: replace(_even(rng), last=rng.randint(500, 3000)),
    "even, last frame short": lambda rng: replace(_even(rng), last=rng.randint(5, 20)),
    "uneven, last frame long": lambda rng: replace(_uneven(rng), last=rng.randint(500, 3000)),
    "one frame": lambda rng: Clip((0,), rng.randint(500, 5000)),
    "late start": _late,
}
CODECS = {
    ".mp4": ("libx264", {"preset": "ultrafast"}),
    ".mov": ("libx264", {"preset": "ultrafast"}),
    ".mkv": ("libx264", {"preset": "ultrafast"}),
    ".webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    ".ts": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
}


def _write(path: Path, clip: Clip) -> None:
    """Packets are encoded in order, and given the clip's stamps on their way into the file."""
    codec, options = CODECS[path.suffix]
    images = grey_images(len(clip.stamps), 16, 16)
    durations = [later - earlier for earlier, later in zip(clip.stamps, clip.stamps[1:], strict=False)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 25, options)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        packets = []
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image).reformat(format="yuv420p")
            frame.pts, frame.time_base = 1000 * index, MILLISECOND
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for index, (packet, stamp) in enumerate(zip(packets, clip.stamps, strict=True)):
            # Decoding times must increase whatever the stamps do.
            decoding = min(clip.stamps[index:]) - (COUNT - index if clip.moved else 0)
            packet.pts, packet.dts = stamp, decoding
            packet.duration = ([*durations, clip.last])[index] if not clip.moved else 0
            container.mux(packet)


def _check(source: DrivingSource, clip: Clip, precision: Fraction, *, knows_end: bool = True) -> None:
    """Times, duration and pictures."""
    count = len(clip.stamps)
    frames = list(source.frames())
    assert source.num_frames == len(frames) == count
    levels = [round(image.mean()) for _, _, image in frames]
    assert levels == pytest.approx(grey_levels(count), abs=6)
    times = [time for _, time, _ in frames]
    for index, time in enumerate(times):
        if index in clip.moved:
            assert times[index - 1] < time < times[index + 1]
        else:
            assert abs(time - (clip.stamps[index] - clip.stamps[0]) * MILLISECOND) <= precision
    if knows_end:
        assert abs(source.duration - clip.end) <= precision
    assert source.duration > times[-1]


def _cases() -> list[tuple[str, str]]:
    return [(kind, suffix) for suffix in CODECS for kind in KINDS]


@pytest.mark.parametrize(("kind", "suffix"), _cases())
def test_a_driver_has_the_times_of_its_file(tmp_path: Path, kind: str, suffix: str) -> None:
    rng = random.Random(f"{kind}{suffix}")
    clip = KINDS[kind](rng)
    path = tmp_path / f"a{suffix}"
    _write(path, clip)
    source = open_driving(path)
    # Transport streams have no place for it; and without durations there is nothing but the usual interval.
    knows_end = suffix != ".ts" and not clip.moved
    _check(source, clip, PRECISION.get(suffix, Fraction(2, 1000)), knows_end=knows_end)
    if len(clip.stamps) > 1:
        start, stop = sorted(rng.sample(range(COUNT + 1), 2))
        part = source.part(start, stop)
        begin, end = source.frame_times.time(start), source.frame_times.time(stop)
        assert part.duration == end - begin and part.sound_start == begin
        expected = [source.frame_times.time(index) - begin for index in range(start, stop)]
        assert [time for _, time, _ in part.frames()] == expected
        levels = [round(image.mean()) for _, _, image in part.frames()]
        assert levels == pytest.approx(grey_levels(COUNT)[start:stop], abs=6)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("repeated", "back", "far"))])
def test_what_is_written_has_the_times_that_were_given(tmp_path: Path, kind: str, suffix: str) -> None:
    clip = KINDS[kind](random.Random(f"{kind}{suffix}"))
    if suffix == ".gif":
        if kind == "gap of 20 minutes":
            pytest.skip("a frame of a GIF lasts eleven minutes at most; longer ones are repeated")
        clip = replace(clip, last=max(20, clip.last))
    begins = [(stamp - clip.stamps[0]) * MILLISECOND for stamp in clip.stamps]
    ends = [*begins[1:], clip.end]
    uneven = not kind.startswith(("even", "ntsc", "one"))
    with VideoWriter(tmp_path / f"a{suffix}", 16, 16, Fraction(25), uneven_times=uneven) as writer:
        for image, begin, end in zip(grey_images(len(begins), 16, 16), begins, ends, strict=True):
            writer.write(image, begin, duration=end - begin)
    assert writer.note == ""
    precision = PRECISION.get(suffix, Fraction(2, 1000))
    _check(open_driving(tmp_path / f"a{suffix}"), clip, precision)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert abs(Fraction(container.duration, av.time_base) - clip.end) <= precision


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("kind", ["even", "uneven", "even, last frame long", "one frame"])
def test_an_animation_has_the_times_of_its_file(tmp_path: Path, kind: str, suffix: str) -> None:
    clip = KINDS[kind](random.Random(f"{kind}{suffix}"))
    ends: Sequence[int] = [*clip.stamps[1:], clip.stamps[-1] + clip.last]
    durations = [max(20, end - begin) for begin, end in zip(clip.stamps, ends, strict=True)]
    if suffix == ".gif":
        durations = [round(duration, -1) for duration in durations]
    stamps = np.cumsum([0, *durations[:-1]]).tolist()
    first, *rest = (Image.fromarray(image) for image in grey_images(len(stamps), 16, 16))
    options = {"lossless": True} if suffix == ".webp" else {}
    single = durations if len(durations) > 1 else durations[0]
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=rest, duration=single, **options)
    known = len(stamps) > 1 or suffix == ".gif"  # a WebP or PNG of one frame is a picture
    _check(
        open_driving(tmp_path / f"a{suffix}"),
        Clip(tuple(stamps), durations[-1]),
        Fraction(0),
        knows_end=known,
    )
