"""Augmentation of ControlNet hints: they show neither shape nor colours of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ...seeds import HINTS, Split, clip_generator
from ...vision.face_patches import align, keep_patches, moved, patch_boxes
from ...vision.landmarks import hold_landmarks
from ...vision.modes.hints import FACE, PATCHES
from ...vision.modes.mode import ClipFaces, DrivingMode, PlanOptions
from ...vision.modes.plain import GREY_WEIGHTS
from ..config.controls import ControlsConfig
from .thin_plate import ThinPlateWarp

_ANCHORS = (0, 4, 8, 12, 16, 19, 24, 33)
"""Of dlib's 68 points: jaw, brows and nose."""


@dataclass(frozen=True, eq=False)
class Disguise:
    """Disguise of a driver that is the target itself.

    Attributes:
        displacements: of the anchors, float64 (8, 2), in sides of the face.
        blur: deviation, in sides of the picture.
    """

    displacements: NDArray[np.float64]
    blur: float


@dataclass(frozen=True, eq=False)
class HintAugmentation:
    """Augmentation of the hints of one clip, the same in all its frames.

    The face is scaled per axis and shifted; eyes and mouth are cut from the result, where the landmarks have
    come to lie, and scaled again inside their patches. It never looks at the target, so the hints of a driver
    are the same whoever is to be driven.

    Attributes:
        self_driven: whether a puppet is driven by itself.
        scale, shift: per axis, float64 (2,); the shift in sides of the picture.
        patch_scales: of left eye, right eye and mouth, float64 (3, 2).
        colours: factors of brightness, contrast and saturation, float64 (3,).
        grey: whether colours are left out.
        disguise: of a driver that is the target itself.

    Source: X-Portrait (arXiv 2403.15931), section 3: random heterogeneous scaling of both control images. It
    gives no ranges.
    """

    self_driven: bool
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    patch_scales: NDArray[np.float64]
    colours: NDArray[np.float64]
    grey: bool
    disguise: Disguise | None

    def mode(self, usual: DrivingMode, disguised: bool) -> DrivingMode:
        """The driving mode that shows this clip's driver; disguised if it is the target itself."""
        own = self if disguised else replace(self, disguise=None)
        return replace(usual, plan=own.plan)

    def plan(self, faces: ClipFaces, options: PlanOptions) -> tuple[AugmentedHints, str]:
        """Plan of a clip. Nothing is laid over the target: the position of its face would be told."""
        held = hold_landmarks(list(faces.landmarks))
        points = None if held is None else np.asarray(held, np.float64)
        warps: list[ThinPlateWarp] = []
        if self.disguise is not None and points is not None and self.disguise.displacements.any():
            side = float(np.ptp(points[0], axis=0).mean())
            offsets = self.disguise.displacements * side
            warps = [ThinPlateWarp(one[list(_ANCHORS)], offsets, faces.size) for one in points]
            points = np.stack([warp.moved(one) for warp, one in zip(warps, points, strict=True)])
        affine = self._affine(np.full(2, faces.size / 2) if points is None else points[0].mean(axis=0), faces)
        boxes = np.empty((len(faces.landmarks), 0, 4), np.int64)
        if points is not None:
            boxes = np.stack([patch_boxes(one, faces.size) for one in moved(points, affine)])
        return AugmentedHints(self, affine, boxes, warps), ""

    def _affine(self, centre: NDArray[np.float64], faces: ClipFaces) -> NDArray[np.float64] | None:
        if (self.scale == 1).all() and not self.shift.any():
            return None
        return np.column_stack([np.diag(self.scale), centre * (1 - self.scale) + self.shift * faces.size])


@dataclass(frozen=True, eq=False)
class AugmentedHints:
    """Plan of a clip's augmented hints, a ``vision.modes.mode.Plan``.

    Attributes:
        augmentation: of the clip.
        affine: float64 (2, 3), scale and shift of every frame; None leaves them in place.
        boxes: int64 (frames, 3, 4), patches of every frame after that; (frames, 0, 4) without a face.
        warps: of every frame, or none.
    """

    augmentation: HintAugmentation
    affine: NDArray[np.float64] | None
    boxes: NDArray[np.int64]
    warps: Sequence[ThinPlateWarp]

    def pictures(self, index: int, square: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Hints of frame ``index`` by ControlNet, see ``vision.modes.hints.HintPlan``."""
        picture = self._coloured(square / np.float32(255))
        if self.warps:
            picture = self.warps[index].apply(picture)
        face = align(picture, self.affine)
        patches = np.zeros_like(face)
        for box, scale in zip(self.boxes[index], self.augmentation.patch_scales, strict=False):
            patches = np.maximum(patches, keep_patches(_scaled(face, box, scale), box[None]))
        return {FACE: face * 2 - 1, PATCHES: patches * 2 - 1}

    def _coloured(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        augmentation = self.augmentation
        brightness, contrast, saturation = np.asarray(augmentation.colours, np.float32)
        if (augmentation.colours != 1).any():
            picture = picture * brightness
            picture = picture.mean() * (1 - contrast) + contrast * picture
            picture = _grey(picture) * (1 - saturation) + saturation * picture
            picture = np.clip(picture, 0, 1)
        if augmentation.grey:
            picture = np.broadcast_to(_grey(picture), picture.shape)
        if augmentation.disguise is not None and augmentation.disguise.blur:
            deviation = augmentation.disguise.blur * len(picture)
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.float32)
        return picture


def _grey(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return picture @ np.asarray(GREY_WEIGHTS, np.float32)[:, None]


def _scaled(
    picture: NDArray[np.float32], box: NDArray[np.int64], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The picture scaled about the centre of a box."""
    if (scale == 1).all():
        return picture
    centre = (box[:2] + box[2:]) / 2
    return align(picture, np.column_stack([np.diag(scale), centre * (1 - scale)]))


def draw_augmentation(config: ControlsConfig, seed: int, index: int, split: Split) -> HintAugmentation:
    """Augmentation of clip ``index``: it depends on the seed, the split and the index alone.

    Numbers are drawn whether they are used or not, so that a changed share changes no other draw. Held-out
    clips are shown as they are.
    """
    rng = clip_generator(seed, index, split, HINTS)
    self_driven, scaled, grey, blur = rng.random(4)
    scale, shift = rng.uniform(-1, 1, (2, 2))
    patches, colours = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 3)
    displacements = rng.standard_normal((len(_ANCHORS), 2))
    changes = config.augmentation
    if changes is None or split == "held-out":
        as_it_is = np.ones(2), np.zeros(2), np.ones((3, 2)), np.ones(3), False, None
        return HintAugmentation(bool(self_driven < config.self_rate and split == "train"), *as_it_is)
    moves = scaled < changes.probability
    return HintAugmentation(
        self_driven=bool(self_driven < config.self_rate),
        scale=np.exp(scale * np.log(changes.range) * moves),
        shift=shift * changes.shift * moves,
        patch_scales=np.exp(patches * np.log(changes.local)),
        colours=1 + colours * changes.colour,
        grey=bool(grey < changes.grey),
        disguise=Disguise(displacements * config.disguise.warp, blur * config.disguise.blur),
    )
