"""Small real media files for the tests, and ways to look into the files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 48_000


def grey_levels(num_frames: int) -> list[int]:
    """A grey value per frame, far enough from its neighbours' to tell frames apart after encoding."""
    return [40 + (index * 53) % 180 for index in range(num_frames)]


def grey_images(num_frames: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), level, np.uint8) for level in grey_levels(num_frames)]


def beep(seconds: float, at: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Silence with a tone of 0.1 s that begins at ``at``; (1, n) float32."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = 0.8 * np.sin(2 * np.pi * 1000 * time) * ((time >= at) & (time < at + 0.1))
    return tone[None].astype(np.float32)


def make_video(
    path: Path,
    images: Sequence[np.ndarray],
    frame_rate: Fraction | int = 25,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sample_aspect_ratio: Fraction | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = SAMPLE_RATE,
    sound_codec: str = "aac",
    sound_begin: Fraction = Fraction(0),
) -> Path:
    """Encode pictures, evenly spaced unless ``pts`` are given, and a sound of (channels, n) float32."""
    time_base = time_base or 1 / Fraction(frame_rate)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        video = container.add_stream(codec, Fraction(frame_rate), options or {})
        video.height, video.width = images[0].shape[:2] if len(images) else (48, 64)
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = time_base
        if sample_aspect_ratio:
            video.codec_context.sample_aspect_ratio = sample_aspect_ratio
        audio = None
        if sound is not None:
            audio = container.add_stream(sound_codec, sound_rate)
            audio.layout = "mono" if len(sound) == 1 else "stereo"
        container.start_encoding()
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout=audio.layout.name)
            frame.sample_rate, frame.time_base = sound_rate, Fraction(1, sound_rate)
            frame.pts = round(sound_begin * sound_rate)
            container.mux([*audio.encode(frame), *audio.encode(None)])
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image)).reformat(format=pix_fmt)
            frame.pts = index if pts is None else pts[index]
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def patch_bytes(path: Path, marker: bytes, offset: int, new: bytes) -> None:
    """Overwrite bytes at ``offset`` behind the first ``marker``."""
    data = bytearray(path.read_bytes())
    begin = data.index(marker) + len(marker) + offset
    data[begin : begin + len(new)] = new
    path.write_bytes(data)


def decoded_levels(path: Path) -> list[int]:
    """The mean grey value of each frame, decoded without the code under test."""
    with av.open(str(path)) as container:
        return [round(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


def decoded_sound(path: Path) -> tuple[np.ndarray, int]:
    """The sound from time 0 on, with silence where there is none; (n,) float32 and the sample rate."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", container.streams.audio[0].rate)
        rate = container.streams.audio[0].rate
        samples = np.zeros(0, np.float32)
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                begin = max(0, round(frame.pts * frame.time_base * rate) - len(samples))
                samples = np.concatenate([samples, np.zeros(begin, np.float32), frame.to_ndarray()[0]])
    return samples, rate


def beep_time(path: Path) -> float:
    """When the tone begins, in seconds on the file's clock."""
    samples, rate = decoded_sound(path)
    return int(np.argmax(np.abs(samples) > 0.2)) / rate


def first_picture_time(path: Path) -> float:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).time


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
