"""Checks an evaluation before any work is done, and settles which clip drives which portrait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...animation.checks import check_controls, check_motion, checked_mode
from ...animation.memory import check_memory
from ...animator import find_detector, usable_device
from ...dataset.clip_list import held_out_identities
from ...errors import InputError
from ...models.config import ModelConfig
from ...motion import AS_DRIVEN
from ...vision.crops import checked_size
from ...weights.loading import read_config, resolve_model
from .files import RejectedClip, VideoClip, check_length, find_clips, find_portraits, readable_portraits
from .request import EvaluationRequest


@dataclass(frozen=True)
class ClipPairing:
    """One animation of an evaluation.

    Attributes:
        driver: the clip that drives.
        portrait: whose picture is animated: the clip itself, another clip, or a picture file.
        reference_frame: the frame of the portrait's clip that is animated; 0 for another clip's.
    """

    driver: VideoClip
    portrait: VideoClip | Path
    reference_frame: int = 0


def usable_clips(
    clips: Sequence[VideoClip], request: EvaluationRequest
) -> tuple[list[VideoClip], list[RejectedClip]]:
    """Clips that can be opened and are long enough, sorted by name; and those that were passed over.

    Args:
        clips: from ``find_clips``.
        request: its ``clips`` are drawn by the seed; all without a number.
    """
    order = np.arange(len(clips))
    if request.clips is not None:
        order = np.random.default_rng(request.seed).permutation(order)
    usable: list[VideoClip] = []
    rejected: list[RejectedClip] = []
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
            rejected.append(RejectedClip(clip.name, error.problem))
        else:
            usable.append(clip)
    return sorted(usable, key=lambda clip: clip.name), sorted(rejected, key=lambda one: one.name)


def self_pairs(clips: Sequence[VideoClip], request: EvaluationRequest) -> list[ClipPairing]:
    """Each clip drives one of its own frames: the one asked for, or one drawn by the seed for each clip."""
    return [ClipPairing(clip, clip, _reference_frame(request, index)) for index, clip in enumerate(clips)]


def _reference_frame(request: EvaluationRequest, index: int) -> int:
    if request.reference_frame == "random":
        return int(np.random.default_rng((request.seed, index)).integers(request.frames))
    return request.reference_frame


def cross_pairs(clips: Sequence[VideoClip], portraits: Sequence[Path], seed: int) -> list[ClipPairing]:
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
        candidates: Sequence[VideoClip | Path] = portraits or others
        if not candidates:
            remedy = "Add clips of others, or give pictures with --portraits"
            raise InputError(clip.name, "there is nobody else whose portrait it could drive", remedy)
        drawn = int(np.random.default_rng((seed, index)).integers(len(candidates)))
        pairs.append(ClipPairing(clip, candidates[drawn]))
    return pairs


_TOLD = 3
"""Reasons that an error gives, of many."""


@dataclass(frozen=True)
class Plan:
    """Plan of an evaluation: the pairs to animate.

    Attributes:
        pairs: at least one.
        rejected: clips, shards and portraits that cannot be used.
    """

    pairs: tuple[ClipPairing, ...]
    rejected: tuple[RejectedClip, ...]


def make_plan(request: EvaluationRequest) -> Plan:
    """Look at everything that was asked for, short of loading the model.

    Raises:
        InputError: something cannot be used, or no clip is left.
    """
    _check_request(request)
    _check_model(request, read_config(resolve_model(request.model, request.models_folder)))
    clips, rejected = find_clips(request.data)
    if request.held_out is not None:
        clips = _held_out(request.data, clips, request.held_out)
    usable, unusable = usable_clips(clips, request)
    rejected += unusable
    if not usable:
        problem = f"none of its {len(clips)} clips can be used ({_some(rejected)})"
        raise InputError(request.data, problem, "Give other clips, or ask for fewer --frames")
    if request.test == "self":
        pairs = self_pairs(usable, request)
    else:
        portraits, unreadable = readable_portraits(
            find_portraits(request.portraits) if request.portraits else []
        )
        rejected += unreadable
        if request.portraits and not portraits:
            problem = f"none of its pictures can be read ({_some(unreadable)})"
            raise InputError(request.portraits, problem, "Give other pictures")
        pairs = cross_pairs(usable, portraits, request.seed)
    return Plan(tuple(pairs), tuple(rejected))


def _check_request(request: EvaluationRequest) -> None:
    if request.test == "self" and request.portraits is not None:
        raise InputError("--portraits", "self-reenactment animates the clips' own frames", "Leave it out")
    if request.reference_frame != "random" and not 0 <= request.reference_frame < request.frames:
        subject = f"--reference-frame {request.reference_frame}"
        raise InputError(subject, f"is none of the {request.frames} frames", "Give 0 or more, below --frames")
    if request.speech and request.stride > 1:
        raise InputError("--speech", "needs the frames as they are", "Leave out --stride")


def _held_out(data: Path, clips: list[VideoClip], share: float) -> list[VideoClip]:
    videos = [clip.name for clip in clips if clip.entry is None]
    if videos:
        problem = f"holds videos ({videos[0]}); --held-out chooses among the shards of a training"
        raise InputError(data, problem, "Give the folder of shards, or leave out --held-out")
    kept = held_out_identities((clip.identity for clip in clips), share)
    if not kept:
        problem = "shows a single identity, of which a training holds nothing back"
        raise InputError(data, problem, "Give clips that were not trained on, and leave out --held-out")
    return [clip for clip in clips if clip.identity in kept]


def _check_model(request: EvaluationRequest, config: ModelConfig) -> None:
    request.sampling.validate(config)
    checked_mode(config, request.driving_mode, request.speech)
    check_motion(config, True, request.speech, AS_DRIVEN)
    check_controls(config, request.strengths)
    if request.crop == "face" and find_detector(request.face_detector, request.models_folder) is None:
        raise InputError(
            "--crop face",
            "needs the face detector's file, which is not on this machine",
            "Fetch it with: python -m megactor_core weights download face-detector, or use --crop whole",
        )
    check_memory(
        config,
        request.sampling,
        checked_size(request.size),
        request.frames,
        device=usable_device(request.device),
        dtype=getattr(torch, request.dtype),
        weights_loaded=False,
    )


def _some(rejected: list[RejectedClip]) -> str:
    told = [f"{one.name}: {one.reason}" for one in rejected[:_TOLD]]
    more = len(rejected) - _TOLD
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)
