"""Held-out puppet clips, each with the drivers that an animation is tested with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...puppets.clips import ClipPair, clip_pair, driving_frames_condition, render_motion, sample_clip

Images = NDArray[np.uint8]
DrivingCondition = Literal["face", "whole"]

DRIVES = ("cross", "second", "self", "shuffled", "removed")
"""What drives a clip. ``cross``: another identity with the true motion. ``second``: a further identity with
the same motion. ``self``: the truth itself. ``shuffled``: that further identity with another clip's motion.
``removed``: black frames."""


@dataclass(frozen=True)
class PuppetDrives:
    """One held-out clip.

    Attributes:
        pair: reference, first driver and exact truth.
        second_frames: the second driver, uint8 (F, S, S, 3).
        conditions: grey driving frames uint8 (F, S, S) by the names of ``DRIVES``.
        still: the same of the reference, which then drives itself and does not move.
    """

    pair: ClipPair
    second_frames: Images
    conditions: Mapping[str, Images]
    still: Images


def puppet_drives(
    seed: int, index: int, num_frames: int, size: int, condition: DrivingCondition = "face"
) -> PuppetDrives:
    """Clip ``index`` of a seed, whatever the number of clips; the second driver comes from the next clip.

    Args:
        seed: 0 or more.
        index: 0 or more.
        num_frames: frames of the clip.
        size: side of the pictures in pixels.
        condition: how drivers are shown, ``face``: grey, the box around the face on black; ``whole``: grey.
    """
    pair = clip_pair(seed, index, num_frames, size, "held-out")
    other = sample_clip(seed, index + 1, num_frames, "held-out")
    second_frames, _, second_boxes, _ = render_motion(other.driver_identity, pair.motion, size)
    shuffled_frames, _, shuffled_boxes, _ = render_motion(other.driver_identity, other.motion, size)
    drivers = {
        "cross": (pair.driver_frames, pair.driver_boxes),
        "second": (second_frames, second_boxes),
        "self": (pair.truth_frames, pair.truth_boxes),
        "shuffled": (shuffled_frames, shuffled_boxes),
    }
    conditions = {
        name: driving_frames_condition(frames, boxes, whole=condition == "whole")
        for name, (frames, boxes) in drivers.items()
    }
    conditions["removed"] = np.zeros_like(conditions["cross"])
    reference = pair.reference
    still = driving_frames_condition(
        reference.image[None], reference.face_box[None], whole=condition == "whole"
    )
    return PuppetDrives(pair, second_frames, conditions, still.repeat(num_frames, axis=0))
