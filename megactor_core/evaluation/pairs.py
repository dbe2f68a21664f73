"""Which portrait each clip drives: the same for the same folder, settings and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .real_clips import ClipFile, Rejected, check_length
from .request import EvaluationRequest


@dataclass(frozen=True)
class Pair:
    """One animation of an evaluation.

    Attributes:
        driver: the clip that drives.
        portrait: whose picture is animated: the clip itself, another clip, or a picture file.
        reference_frame: the frame of the portrait's clip that is animated; 0 for another clip's.
    """

    driver: ClipFile
    portrait: ClipFile | Path
    reference_frame: int = 0


def usable_clips(
    clips: Sequence[ClipFile], request: EvaluationRequest
) -> tuple[list[ClipFile], list[Rejected]]:
    """Clips that can be opened and are long enough, sorted by name; and those that were passed over.

    Args:
        clips: from ``find_clips``.
        request: its ``clips`` are drawn by the seed; all without a number.
    """
    order = np.arange(len(clips))
    if request.clips is not None:
        order = np.random.default_rng(request.seed).permutation(order)
    usable: list[ClipFile] = []
    rejected: list[Rejected] = []
    for index in order.tolist():
        if len(usable) == request.clips:
            break
        clip = clips[index]
        try:
            with clip.opened() as source:
                check_length(source, request.frames, request.stride)
                if request.speech and not source.has_audio:
                    raise InputError(clip.name, "has no sound", "Leave out --speech")
        except InputError as error:
            rejected.append(Rejected(clip.name, error.problem))
        else:
            usable.append(clip)
    return sorted(usable, key=lambda clip: clip.name), sorted(rejected, key=lambda one: one.name)


def self_pairs(clips: Sequence[ClipFile], request: EvaluationRequest) -> list[Pair]:
    """Each clip drives one of its own frames: the one asked for, or one drawn by the seed for each clip."""
    return [Pair(clip, clip, _reference_frame(request, index)) for index, clip in enumerate(clips)]


def _reference_frame(request: EvaluationRequest, index: int) -> int:
    if request.reference_frame == "random":
        return int(np.random.default_rng((request.seed, index)).integers(request.frames))
    return request.reference_frame


def cross_pairs(clips: Sequence[ClipFile], portraits: Sequence[Path], seed: int) -> list[Pair]:
    """Each clip drives a portrait of somebody else, drawn by the seed.

    Args:
        clips: from ``usable_clips``.
        portraits: pictures to draw from; without any, the first frames of the other clips.
        seed: 0 or more.

    Raises:
        InputError: all clips show the same person, and there are no portraits.
    """
    pairs = []
    for index, clip in enumerate(clips):
        others = [other for other in clips if other.identity != clip.identity]
        candidates: Sequence[ClipFile | Path] = portraits or others
        if not candidates:
            remedy = "Add clips of others, or give pictures with --portraits"
            raise InputError(clip.name, "there is nobody else whose portrait it could drive", remedy)
        drawn = int(np.random.default_rng((seed, index)).integers(len(candidates)))
        pairs.append(Pair(clip, candidates[drawn]))
    return pairs
