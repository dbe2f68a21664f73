"""Sound of a clip: whether it has any, how loud it is, and as the speech encoder takes it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.sound import opened_sound
from ..media.waveform import SAMPLE_RATE, one_channel
from .clip_file import decoding
from .shards import CLIP, METADATA, BrokenSample, Entry

_SILENCE = -100.0
"""Decibels of digital silence."""
_SPEECH = -45.0
"""Decibels above which a frame counts as speech."""
_FRAME = SAMPLE_RATE // 25


def clip_sound(data: bytes) -> NDArray[np.float32] | None:
    """Sound of an MP4 in memory from its first picture on.

    Returns:
        float32 (samples,), 16 kHz mono, -1..1, as long as the picture or not quite; None without any.

    Raises:
        BrokenSample: it is no video.
    """
    with decoding(), av.open(io.BytesIO(data), "r", format="mp4") as container:
        video = container.streams.video[0]
        origin = (video.start_time or 0) * cast(Fraction, video.time_base)
        source = opened_sound(container, origin)
        pieces = [] if source is None else list(one_channel(source))
    return np.concatenate(pieces) if pieces else None


def sound_facts(data: bytes) -> dict[str, Any] | None:
    """Codec, ``loudness`` and ``speech_share`` of an MP4 in memory for its metadata; None without sound.

    Raises:
        BrokenSample: it is no video.
    """
    sound = clip_sound(data)
    if sound is None:
        return None
    with decoding(), av.open(io.BytesIO(data), "r", format="mp4") as container:
        codec = container.streams.audio[0].codec_context.codec.canonical_name
    return {
        "codec": codec,
        "loudness": round(loudness(sound), 2),
        "speech_share": round(speech_share(sound), 4),
    }


def loudness(sound: NDArray[np.float32]) -> float:
    """Root mean square in decibels, 0 = full scale, -100 = silence."""
    return float(_decibels(sound[None])[0])


def speech_share(sound: NDArray[np.float32]) -> float:
    """Share of frames of 40 ms that are louder than -45 dB, 0..1; the last one may be shorter."""
    padded = np.pad(sound, (0, -len(sound) % _FRAME))
    return float((_decibels(padded.reshape(-1, _FRAME)) > _SPEECH).mean())


def _decibels(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return 10 * np.log10(np.maximum(power, 10 ** (_SILENCE / 10)))


def has_sound(clip: Entry) -> bool:
    """Whether a clip has sound: its metadata tell, else the clip is looked into. A broken one has none."""
    try:
        facts = clip.read_json(METADATA) if METADATA in clip.members else {}
        if "sound" in facts or "sha256" in facts:  # packed before sound was kept, it has a checksum alone
            return facts.get("sound") is not None
        return clip_sound(clip.read(CLIP)) is not None
    except BrokenSample:
        return False


def check_sound(clips: Sequence[Entry]) -> None:
    """Make sure that all clips have sound, before any work.

    Raises:
        InputError: some have none, or are broken; names the first one's shard.
    """
    silent = [clip for clip in clips if not has_sound(clip)]
    if silent:
        raise InputError(
            silent[0].shard,
            f"{len(silent)} of {len(clips)} clips have no sound (the first one: {silent[0].key})",
            "Pack videos with sound with: dataset pack, or train without speech",
        )
