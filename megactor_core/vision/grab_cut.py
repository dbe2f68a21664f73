"""Parts person and background by their colours, where no network is at hand that knows people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# GrabCut's time grows with the pixels; a mask of this size is sharp enough for an eighth-size latent.
_WORKING_SIDE = 224
_ITERATIONS = 3
# GrabCut fits five colour clusters to each side and fails with fewer pixels.
_FEWEST_SAMPLES = 5
_NO_BOX = (0, 0, 0, 0)


def grab_cut_mask(image: NDArray[np.uint8], face_box: ArrayLike) -> NDArray[np.float32]:
    """Mask of the person by GrabCut from the face.

    Args:
        image: uint8 RGB (H, W, 3).
        face_box: left, top, right, bottom in pixels; seeds the search.

    Returns:
        float32 (H, W), 0..1, 1 = person.

    Source: Rother et al., "GrabCut", SIGGRAPH 2004, in OpenCV's implementation.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    small_height, small_width = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    factors = np.array([small_width / width, small_height / height])
    box = np.asarray(face_box, float) * np.tile(factors, 2)
    seeds, known = _seed(small_height, small_width, box)
    background = np.isin(seeds[known], (cv2.GC_BGD, cv2.GC_PR_BGD))
    if min(background.sum(), (~background).sum()) < _FEWEST_SAMPLES:
        return np.ones((height, width), np.float32)
    mask = _largest_part(_grab_cut(small, seeds, known), seeds, thickness=(box[2] - box[0]) / 8)
    smooth = cv2.GaussianBlur(mask, (0, 0), 1.5)
    large = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
    # A narrow ramp around the half level keeps the outline smooth without a broad halo.
    return np.clip((large - 0.5) * 4 + 0.5, 0, 1).astype(np.float32)


def _seed(height: int, width: int, box: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """GrabCut's labels from the face, and where they are more than a guess."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    away = np.abs(columns - x) / half_width
    down = (rows - y) / half_height

    def ellipse(center: float, radius_x: float, radius_y: float) -> NDArray[np.bool_]:
        return (away / radius_x) ** 2 + ((down - center) / radius_y) ** 2 <= 1

    slope = np.clip(down - 0.7, 0, 1)
    likely = ellipse(-0.25, 1.45, 1.6) | ((slope > 0) & (away <= 1.0 + 0.6 * slope))
    possible = ellipse(-0.3, 1.55, 1.75) | ((slope > 0) & (away <= 1.1 + 1.5 * slope))
    face = ellipse(0, 0.8, 0.9) | ((down > 1) & (away <= 0.3 + 0.6 * slope))
    # Where the head leaves room, the upper rim is background; else a sky as pale as the hair leaks in.
    rim = (rows < 0.02 * height) & (y - 1.6 * half_height > 0)
    far = ((away > 2.6) & (down < 0.5)) | (down < -2.4) | rim
    labels = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[far] = cv2.GC_BGD
    labels[face] = cv2.GC_FGD
    return labels, likely | ~possible


def _grab_cut(
    image: NDArray[np.uint8], seeds: NDArray[np.uint8], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    # Without a little noise the cut of an evenly coloured picture takes minutes.
    noise = np.random.default_rng(0).normal(scale=0.5, size=image.shape)
    noisy = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    labels = seeds.copy()
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    # Colours are first learnt from the known pixels, then the cut and the colours improve each other.
    cv2.grabCut(noisy[known][None], seeds[known][None], _NO_BOX, *models, 0, cv2.GC_INIT_WITH_MASK)
    cv2.grabCut(noisy, labels, _NO_BOX, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    cv2.grabCut(noisy, labels, _NO_BOX, *models, _ITERATIONS, cv2.GC_EVAL)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _largest_part(mask: NDArray[np.bool_], seeds: NDArray[np.uint8], thickness: float) -> NDArray[np.float32]:
    """The connected part that holds most of the sure face, without holes and without thin bridges."""
    diameter = max(1, round(thickness))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, brush, borderType=cv2.BORDER_REPLICATE)
    _, labels = cv2.connectedComponents(opened)
    counts = np.bincount(labels[(seeds == cv2.GC_FGD) & (opened > 0)], minlength=2)
    part = (labels == counts[1:].argmax() + 1).astype(np.uint8)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.float32)
    cv2.drawContours(filled, contours, -1, 1.0, cv2.FILLED)
    return filled
