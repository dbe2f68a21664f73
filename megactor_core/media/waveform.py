"""Any sound as the speech encoder takes it: 16 kHz, one channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .samples import Samples
from .sound import SoundSource, open_sound

SAMPLE_RATE = 16_000

_BLOCK = SAMPLE_RATE // 2
"""Samples in which it is looked for opposite channels."""

_FADE = SAMPLE_RATE // 100
"""Samples in which the right channel is turned over or back."""

_OPPOSITE = 10
"""How many times the energy of the sum that of the difference is where channels are opposite."""


def read_waveform(
    sound: Path | Samples, start: Fraction = Fraction(0), duration: Fraction | None = None
) -> NDArray[np.float32]:
    """A span of what a model hears, see ``heard``.

    Args:
        sound: a sound or video file, or samples.
        start: seconds after the file's first picture, or after the first sample, to begin at.
        duration: seconds; a sound that ends sooner is followed by silence. None takes all of it.

    Returns:
        float32 ``(samples,)`` at 16 kHz, -1..1.

    Raises:
        InputError: the file cannot be read or holds no sound, or the samples are not finite.
    """
    waveform = heard_part(sound, start, duration)
    if duration is None:
        if not len(waveform):
            raise InputError(_name(sound), "its sound is empty", "Give a file with sound")
        return waveform
    return np.pad(waveform, (0, round(duration * SAMPLE_RATE) - len(waveform)))


def heard_part(sound: Path | Samples, start: Fraction, duration: Fraction | None) -> NDArray[np.float32]:
    """Like ``read_waveform``, but shorter where the sound ends sooner; nothing beyond the span is decoded."""
    wanted = None if duration is None else round(duration * SAMPLE_RATE)
    pieces = [np.zeros(0, np.float32)]
    length = 0
    for piece in heard(sound, start):
        pieces.append(piece)
        length += len(piece)
        if wanted is not None and length >= wanted:
            break
    return np.concatenate(pieces)[:wanted]


def heard(sound: Path | Samples, start: Fraction) -> Iterator[NDArray[np.float32]]:
    """Decode sound of any rate and layout as one channel, piece by piece.

    Left and right (of more channels, what ``media.mixing`` makes of them) are averaged. Where one is the
    other's opposite, as of a microphone wired the wrong way round, they would cancel out: the right one is
    turned over there.

    Args:
        sound, start: see ``read_waveform``.

    Yields:
        float32 ``(n,)`` at 16 kHz, -1..1.

    Raises:
        InputError: see ``read_waveform``.
    """

    def refuse() -> None:
        raise InputError(_name(sound), "holds samples that are not numbers", "Export the sound again")

    with open_sound(sound, start) as source:
        if source is None:
            remedy = "Give a file with sound, or drive without it"
            raise InputError(_name(sound), "holds no sound", remedy)
        yield from one_channel(source, refuse)


def one_channel(
    source: SoundSource, on_damage: Callable[[], None] = lambda: None
) -> Iterator[NDArray[np.float32]]:
    """Opened sound as ``heard`` gives it; ``on_damage`` is called where samples are not finite."""
    decoded = source.decode(SAMPLE_RATE, on_damage)
    yield from (piece[0] for piece in decoded) if source.channels == 1 else _averaged(decoded)


def _averaged(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    sign = 1.0
    for left, right in _blocks(pieces, _BLOCK):
        difference, total = (np.square(left + factor * right).sum(dtype=np.float64) for factor in (-1, 1))
        signs = np.full(len(left), -1 if difference > _OPPOSITE * total else 1, np.float32)
        fade = signs[:_FADE]
        fade[:] = np.linspace(sign, signs[-1], len(fade))
        sign = float(signs[-1])
        yield (left + signs * right) / 2


def _blocks(pieces: Iterable[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """Samples ``(channels, n)`` rearranged into blocks of one length; the last may be shorter."""
    held: list[NDArray[np.float32]] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += piece.shape[1]
        if count >= length:
            joined = np.concatenate(held, axis=1)
            whole = count - count % length
            yield from np.split(joined[:, :whole], whole // length, axis=1)
            held, count = [joined[:, whole:]], count - whole
    if count:
        yield np.concatenate(held, axis=1)


def _name(sound: Path | Samples) -> object:
    return "sound" if isinstance(sound, Samples) else sound


def silence(duration: Fraction) -> NDArray[np.float32]:
    """A waveform of zeros, which is what MegActor-Sigma hears where there is no sound."""
    return np.zeros(round(duration * SAMPLE_RATE), np.float32)
