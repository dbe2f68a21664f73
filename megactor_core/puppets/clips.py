"""Reproducible puppet clips: driver and truth share a motion, not an identity or a background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..seeds import Split, clip_generator
from ..vision.modes.mode import ClipFaces
from .canvas import Image
from .identity import Identity, sample_identity
from .motion import FloatArray, sample_motion, sample_pose
from .renderer import Puppet, PuppetFrame

FRAME_RATE = 25
"""Frames per second of a clip unless another rate is asked for."""


@dataclass(frozen=True)
class PuppetClip:
    """Content of a clip, before any picture is drawn.

    identity: the one of reference and truth. driver_identity: another one. reference_pose: float32 (15,),
    independent of the motion. motion: float32 (F, 15), common to driver and truth.
    """

    identity: Identity
    driver_identity: Identity
    reference_pose: FloatArray
    motion: FloatArray
    frame_rate: float


@dataclass(frozen=True)
class ClipPair:
    """A rendered clip with its exact cross-identity truth.

    reference: the identity in ``clip.reference_pose`` on its background, with its annotations.
    driver_frames, truth_frames: uint8 (F, S, S, 3) RGB. driver_masks, truth_masks: float32 (F, S, S), 1 on
    the person. driver_boxes, truth_boxes: float32 (F, 4) face boxes in pixels. driver_landmarks,
    truth_landmarks: float32 (F, 68, 2). motion: float32 (F, 15).
    """

    clip: PuppetClip
    reference: PuppetFrame
    driver_frames: Image
    driver_masks: FloatArray
    driver_boxes: FloatArray
    driver_landmarks: FloatArray
    truth_frames: Image
    truth_masks: FloatArray
    truth_boxes: FloatArray
    truth_landmarks: FloatArray

    @property
    def motion(self) -> FloatArray:
        """Motion of driver and truth, float32 (F, 15)."""
        return self.clip.motion


def sample_clip(
    seed: int, index: int, num_frames: int, split: Split = "train", frame_rate: float = FRAME_RATE
) -> PuppetClip:
    """Identities, reference pose and motion of clip ``index``; the same arguments give the same clip.

    Identities and reference pose do not depend on ``num_frames``.
    """
    rng = clip_generator(seed, index, split)
    identity, driver_identity = sample_identity(rng), sample_identity(rng)
    pose = sample_pose(rng)
    return PuppetClip(identity, driver_identity, pose, sample_motion(rng, num_frames, frame_rate), frame_rate)


def render_motion(
    identity: Identity, motion: FloatArray, size: int
) -> tuple[Image, FloatArray, FloatArray, FloatArray]:
    """Frames uint8 (F, S, S, 3), masks (F, S, S), face boxes (F, 4) and landmarks (F, 68, 2), float32."""
    puppet = Puppet(identity, size)
    frames = [puppet.frame(pose) for pose in motion]
    return (
        np.stack([frame.image for frame in frames]),
        np.stack([frame.mask for frame in frames]),
        np.stack([frame.face_box for frame in frames]),
        np.stack([frame.landmarks for frame in frames]),
    )


def clip_pair(
    seed: int,
    index: int,
    num_frames: int,
    size: int,
    split: Split = "train",
    frame_rate: float = FRAME_RATE,
) -> ClipPair:
    """Render clip ``index``: reference, driver (other identity, same motion) and exact truth."""
    return render_pair(sample_clip(seed, index, num_frames, split, frame_rate), size)


def render_pair(clip: PuppetClip, size: int) -> ClipPair:
    """Render a clip: reference, driver (other identity, same motion) and exact truth."""
    return ClipPair(
        clip,
        Puppet(clip.identity, size).frame(clip.reference_pose),
        *render_motion(clip.driver_identity, clip.motion, size),
        *render_motion(clip.identity, clip.motion, size),
    )


def puppet_faces(
    size: int, boxes: FloatArray, landmarks: FloatArray, target: FloatArray, *, whole: bool = False
) -> ClipFaces:
    """The faces of a driver as a driving mode wants to know them.

    Args:
        size: side of the pictures in pixels.
        boxes, landmarks: of every frame, (F, 4) and (F, 68, 2) in pixels.
        target: landmarks (68, 2) of who is driven in the frame that decides the alignment.
        whole: as if no face had been looked for; for modes that read no landmarks.
    """
    return ClipFaces(size, landmarks=list(landmarks), boxes=None if whole else boxes, target=target)
