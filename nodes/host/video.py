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

from ...megactor_core.errors import InputError
from ...megactor_core.media.reading import open_driving
from ...megactor_core.media.samples import Samples
from ...megactor_core.media.sound import read_sound
from ...megactor_core.media.source import DrivingSource, pictures_source
from .images import Pictures

# As exact as broadcast rates are written: 30000/1001 from 29.97002997.
_LARGEST_DENOMINATOR = 1001


def one_driver(video: Input.Video | None, images: Tensor | None, frame_rate: float) -> DrivingSource:
    """The driver of a node that takes a VIDEO or an IMAGE batch.

    Args:
        video, images: exactly one of them.
        frame_rate: of the images, frames per second.

    Raises:
        InputError: none or both; or see ``driving_source``.
    """
    if video is not None and images is not None:
        raise InputError("video and images", "both are linked", "Link one of them")
    if video is not None:
        return driving_source(video)
    if images is None:
        raise InputError("video", "nothing is linked that could drive", "Link video, or a batch to images")
    return images_source(images, frame_rate)


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
    return source.part(*source.frame_times.between(begin, begin + duration if duration else None))


def images_source(
    images: Tensor, frame_rate: float | Fraction, audio: Input.Audio | None = None
) -> DrivingSource:
    """An IMAGE batch as a driver; pictures are converted when they are read.

    Args:
        images: ``(F, H, W, 3 or 4)``, 0..1.
        frame_rate: frames per second.
        audio: the sound from the first picture on.
    """
    rate = Fraction(frame_rate).limit_denominator(_LARGEST_DENOMINATOR)
    samples = (
        None if audio is None else Samples(audio["waveform"][0].float().cpu().numpy(), audio["sample_rate"])
    )
    return pictures_source(Pictures(images), rate, samples)


def audio_of(source: DrivingSource) -> dict[str, Any] | None:
    """The sound that belongs to a driver's frames as AUDIO, cut where they end; None without sound.

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
