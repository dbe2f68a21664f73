"""Animates one speaking puppet in every way, and reads the motion of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...media.pictures import Images
from ...puppets.motion import FloatArray
from ..measures.pixels import psnr
from ..puppets.motion_fit import MotionFitter
from .drives import SpeakingPuppet, SpokenDrive

WHOLE_FACE = 3
"""The whole face is read in one of so many of the frames that are read; in between only head and mouth."""

Painter = Callable[[SpokenDrive], Images]
"""Animates the portrait: frames uint8 (F, S, S, 3)."""


@dataclass(frozen=True, eq=False)
class SpeechReading:
    """What was read of one clip.

    Attributes:
        index: number of the clip.
        utterance: number in the corpus of what is said first.
        motion: true motion, (F, 15).
        hidden_mouth: see ``SpeakingPuppet``.
        quiet, loudness: see ``SpeakingPuppet``.
        at: numbers of the frames that were read, (n,).
        mouths: opening, width and smile in them, (n, 3), by drive; and of the frames that bound the reading:
            ``truth``, ``autoencoder`` (the truth through the VAE), ``rest`` (the truth, its mouth at rest).
        whole_at: numbers of the frames in which the whole face was read: every third of them, and the last.
        whole: all 15 parameters there, (m, 15), of ``own``, ``silent`` and ``truth``.
        psnr: in dB outside the lower face, against the truth, by drive; ``autoencoder`` and ``copy``, the
            portrait unmoved.
    """

    index: int
    utterance: int
    motion: FloatArray
    hidden_mouth: FloatArray
    quiet: NDArray[np.bool_]
    loudness: NDArray[np.float64]
    at: NDArray[np.int_]
    mouths: Mapping[str, FloatArray]
    whole_at: NDArray[np.int_]
    whole: Mapping[str, FloatArray]
    psnr: Mapping[str, float]


def read_speech(
    index: int,
    utterance: int,
    puppet: SpeakingPuppet,
    paint: Painter,
    autoencode: Callable[[Images], Images],
    every: int,
    bounds: bool,
) -> tuple[SpeechReading, Mapping[str, Images]]:
    """Animate and read one clip.

    Args:
        index: number of the clip.
        utterance: number of what is said, in the corpus.
        puppet: what drives it, and its truth.
        paint: animates the portrait.
        autoencode: passes frames through the model's VAE.
        every: the motion is read from every so many frames.
        bounds: whether the truth, through the VAE and without, is read too.

    Returns:
        The numbers, and the animated frames by drive.
    """
    outputs = {name: paint(drive) for name, drive in puppet.drives.items()}
    decoded = autoencode(puppet.truth_frames)
    fitter = MotionFitter(puppet.clip.identity, puppet.truth_frames.shape[1])
    reader = _Reader(fitter, np.arange(0, len(puppet.truth_frames), every))
    first = "own" if "own" in outputs else "silent"
    whole = {first: reader.whole(outputs[first])}
    if "silent" in outputs and first != "silent":
        whole["silent"] = reader.whole(outputs["silent"], whole[first][0])
    mouths = {name: reader.mouth(frames, whole[first]) for name, frames in outputs.items()}
    if bounds:
        whole["truth"] = reader.whole(puppet.truth_frames)
        for name, frames in (
            ("truth", puppet.truth_frames),
            ("autoencoder", decoded),
            ("rest", puppet.rest_frames),
        ):
            mouths[name] = reader.mouth(frames, whole["truth"])
    copy = np.broadcast_to(puppet.reference.image, puppet.truth_frames.shape).copy()
    compared = {**outputs, "autoencoder": decoded, "copy": copy}
    reading = SpeechReading(
        index=index,
        utterance=utterance,
        motion=puppet.clip.motion,
        hidden_mouth=puppet.hidden_mouth,
        quiet=puppet.quiet,
        loudness=puppet.loudness,
        at=reader.at,
        mouths=mouths,
        whole_at=reader.whole_at,
        whole=whole,
        psnr={
            name: psnr(frames, puppet.truth_frames, puppet.rest_of_picture)
            for name, frames in compared.items()
        },
    )
    return reading, outputs


class _Reader:
    """Reads some frames of a clip.

    Args:
        fitter: knows the identity.
        at: numbers of the frames, (n,).
    """

    def __init__(self, fitter: MotionFitter, at: NDArray[np.int_]) -> None:
        self.at = at
        self._fitter, self.whole_at = fitter, np.union1d(at[::WHOLE_FACE], at[-1])

    def whole(self, frames: Images, start: FloatArray | None = None) -> FloatArray:
        """All parameters of every third of the frames, (m, 15); ``start``: see ``MotionFitter.fit``."""
        return self._fitter.fit(frames[self.whole_at], start)

    def mouth(self, frames: Images, whole: FloatArray) -> FloatArray:
        """The mouth in all of them, (n, 3); ``whole``: read of frames with the same head, eyes and brows."""
        near = np.stack([np.interp(self.at, self.whole_at, column) for column in whole.T], axis=1)
        return self._fitter.fit_mouth(frames[self.at], near.astype(np.float32))[:, -3:]
