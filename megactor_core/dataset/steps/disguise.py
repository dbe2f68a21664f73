"""The built-in swap: a face with another's proportions and colours. It moves as before, but is nobody else's.

The face's own pixels are bent until eyes, nose and mouth stand as in the donor's face on average, and its
colours get the donor's mean and spread. That is enough to test a pipeline and to vary the drivers of a small
run; for real training a face-swap program is to be used.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...vision.head_motion import moved_points, similarities

_BEND = 0.7
"""Share of the way to the donor's proportions."""
_REACH = 0.45
"""Of a point's pull, in distances between the eyes."""


class Disguise:
    """Changes the face in the frames of one clip.

    Args:
        points: the face in every frame, (F, 5, 2), see ``Face.points``.
        picture: one frame of the clip, uint8 RGB (H, W, 3).
        number: of that frame.
        donor: a picture of the other face, uint8 RGB (H, W, 3).
        donor_points: that face, (5, 2).
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        picture: NDArray[np.uint8],
        number: int,
        donor: NDArray[np.uint8],
        donor_points: NDArray[np.float32],
    ) -> None:
        self._points = points.astype(np.float64)
        # Proportions are the clip's mean: those of each frame are its expression, which must stay.
        self._base = self._points[:1]
        mean = moved_points(self._points, similarities(self._points, self._base)).mean(axis=0)
        wanted = moved_points(donor_points[None], similarities(donor_points[None], mean[None]))[0]
        self._pull = _BEND * (wanted - mean)
        own, other = (
            _colours(image, rows)
            for image, rows in ((picture, self._points[number]), (donor, donor_points.astype(np.float64)))
        )
        self._gain = np.clip(other[1] / own[1], 0.5, 2)
        self._shift = other[0] - self._gain * own[0]

    def __call__(self, image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """Frame ``number`` with the changed face, uint8 RGB (H, W, 3)."""
        points = self._points[number]
        weights = _face_weights(points, image.shape[:2])[..., None]
        bent = _bent(image, points, self._pull @ similarities(self._base, points[None])[0, :, :2].T)
        lab = cv2.cvtColor(bent, cv2.COLOR_RGB2LAB).astype(np.float32)
        coloured = np.clip(lab * self._gain + self._shift, 0, 255).round().astype(np.uint8)
        other = cv2.cvtColor(coloured, cv2.COLOR_LAB2RGB)
        return (bent + weights * (other.astype(np.float32) - bent)).round().astype(np.uint8)


def _bent(
    image: NDArray[np.uint8], points: NDArray[np.float64], pull: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The picture with each point pulled, its surroundings with it."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    reach = _REACH * np.linalg.norm(points[1] - points[0])
    for (point_x, point_y), (right, down) in zip(points, pull, strict=True):
        weight = np.exp(-((x - point_x) ** 2 + (y - point_y) ** 2) / (2 * reach**2)).astype(np.float32)
        x, y = x - weight * np.float32(right), y - weight * np.float32(down)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _face_weights(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """1 on the face, falling to 0 around it, (H, W)."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    length = np.linalg.norm(down)
    center = eyes + 0.35 * down
    angle = np.degrees(np.arctan2(down[1], down[0])) - 90
    mask = np.zeros(size, np.float32)
    axes = (max(1, round(1.15 * length)), max(1, round(1.7 * length)))
    cv2.ellipse(mask, center.round().astype(int).tolist(), axes, angle, 0, 360, 1.0, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.25 * float(length))), np.float32)


def _colours(image: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean and deviation of the face's colours in CIELAB, (2, 3)."""
    inside = _face_weights(points, image.shape[:2]) > 0.8
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[inside].astype(np.float32)
    return np.stack([lab.mean(axis=0), lab.std(axis=0) + 1])
