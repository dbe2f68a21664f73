"""The host's VIDEO, IMAGE batches and AUDIO to and from the core's driving sources and sound."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import Input, InputImpl
from torch import Tensor

from ...megactor_core.animation.clip import Clip, find_clip
from ...megactor_core.animation.options import FrameOptions
from ...megactor_core.errors import InputError
from ...megactor_core.media.reading import open_driving
from ...megactor_core.media.samples import Samples
from ...megactor_core.media.sound import read_sound
from ...megactor_core.media.source import DrivingSource, pictures_source
from ...megactor_core.media.timing import exact_frame_rate
from .images import Pictures


def one_driver(
    video: Input.Video | None,
    images: Tensor | None,
    frame_rate: float | Fraction,
    audio: Input.Audio | None = None,
) -> DrivingSource:
    """The driver of a node that takes a VIDEO or an IMAGE batch.

    Args:
        video, images: exactly one of them.
        frame_rate: of the images, frames per second.
        audio: sound of the images.

    Raises:
        InputError: none or both; sound beside a video, which has its own; or see ``driving_source``.
    """
    if video is not None and audio is not None:
        raise InputError("audio", "the video has its own sound", "Unlink it, and link it to Encode Audio")
    if video is not None and images is not None:
        raise InputError("video and images", "both are linked", "Link one of them")
    if video is not None:
        return driving_source(video)
    if images is None:
        raise InputError("video", "nothing is linked that could drive", "Link video, or a batch to images")
    return images_source(images, frame_rate, audio)


def driving_source(video: Input.Video) -> DrivingSource:
    """A VIDEO as a driver; one that is a file is read as a stream, trimmed or not.

    Raises:
        InputError: the file cannot be read, or no frame is left of it after trimming.
    """
    if not isinstance(video, InputImpl.VideoFromFile):
        components = video.get_components()
        return images_source(components.images, components.frame_rate, components.audio)
    source = open_driving(_file(video.get_stream_source()))
    begin, duration = video.get_active_trim_window()
    return source.span(begin, begin + duration if duration else None)


def images_source(
    images: Tensor, frame_rate: float | Fraction, audio: Input.Audio | None = None
) -> DrivingSource:
    """An IMAGE batch as a driver; pictures are converted when they are read.

    Args:
        images: ``(F, H, W, 3 or 4)``, 0..1.
        frame_rate: frames per second.
        audio: the sound from the first picture on.
    """
    samples = None if audio is None else samples_of(audio)
    return pictures_source(Pictures(images), exact_frame_rate(frame_rate), samples)


def samples_of(audio: Input.Audio) -> Samples:
    """AUDIO of one clip as samples; more than two channels are mixed where they are used.

    Raises:
        InputError: a batch of several sounds, or not a sound's shape or rate.
    """
    waveform = audio["waveform"]
    if len(waveform) != 1:
        raise InputError(f"audio of {len(waveform)} clips", "one is needed", "Link the sound of one clip")
    return Samples(waveform[0].float().cpu().numpy(), int(audio["sample_rate"]))


def spoken_clip(audio: Input.Audio | None, frame_rate: float | Fraction, frames: FrameOptions) -> Clip:
    """The clip that a sound alone drives.

    Args:
        audio: AUDIO; without any the clip is silent and ends where ``frames`` do.
        frame_rate: frames per second.
        frames: the frames to use.

    Raises:
        InputError: neither sound nor an end, or no frames left.
    """
    rate, start, stop = exact_frame_rate(frame_rate), frames.start, frames.stop
    if audio is not None:
        return find_clip(None, samples_of(audio), start, stop, rate)
    if stop is None:
        raise InputError("portrait", "nothing tells how long it moves", "Link audio, or set max_frames")
    return Clip(None, stop - start, rate, None, Fraction(0), None)


def audio_of(source: DrivingSource | Clip) -> dict[str, Any] | None:
    """The sound that belongs to a clip's frames as AUDIO, cut where they end; None without sound.

    Raises:
        InputError: the file's sound cannot be read.
    """
    if source.sound is None:
        return None
    samples = read_sound(source.sound, source.sound_start, source.duration)
    if samples is None:
        return None
    return {"waveform": torch.from_numpy(samples.values)[None], "sample_rate": samples.rate}


def _file(stream: str | BytesIO) -> Path:
    """The file of a VIDEO; one in memory is put into the host's temporary folder, which the host empties."""
    if not isinstance(stream, BytesIO):
        return Path(stream)
    content = stream.getvalue()
    folder = Path(folder_paths.get_temp_directory())
    path = folder / f"megactor_{hashlib.sha256(content).hexdigest()[:16]}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path
