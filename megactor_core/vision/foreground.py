"""Splits a picture into person and background."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# GrabCut's time grows with the pixels; a mask of this size is sharp enough for an eighth-size latent.
_WORKING_SIDE = 224
_ITERATIONS = 3
# GrabCut fits five colour clusters to each side and fails with fewer pixels.
_FEWEST_SAMPLES = 5


def foreground_mask(
    image: NDArray[np.uint8],
    face_box: Sequence[float] | None = None,
    given_mask: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Where the person is.

    Args:
        image: uint8 RGB (H, W, 3).
        face_box: left, top, right, bottom in pixels; seeds the search. Without it the person is expected in
            the middle.
        given_mask: float32 (H, W), 0..1, 1 = person; returned as it is.

    Returns:
        float32 (H, W), 0..1, 1 = person.

    Source of the search: Rother et al., "GrabCut", SIGGRAPH 2004, in OpenCV's implementation.
    """
    if given_mask is not None:
        return given_mask
    height, width = image.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    small_height, small_width = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    if face_box is None:
        # The usual portrait: a head of a third of the height, above the middle.
        side = 0.36 * min(small_height, small_width)
        x, y = small_width / 2, 0.42 * small_height
        box = (x - side / 2, y - side / 1.6, x + side / 2, y + side / 1.6)
    else:
        left, top, right, bottom = face_box
        factors = (small_width / width, small_height / height)
        box = (left * factors[0], top * factors[1], right * factors[0], bottom * factors[1])
    seeds = _seed(small_height, small_width, box)
    background = np.isin(seeds, (cv2.GC_BGD, cv2.GC_PR_BGD))
    if min(background.sum(), (~background).sum()) < _FEWEST_SAMPLES:
        return np.ones((height, width), np.float32)
    mask = _largest_part(_grab_cut(small, seeds), seeds, thickness=(box[2] - box[0]) / 8)
    smooth = cv2.GaussianBlur(mask, (0, 0), 1.5)
    large = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
    # A narrow ramp around the half level keeps the outline smooth without a broad halo.
    return np.clip((large - 0.5) * 4 + 0.5, 0, 1).astype(np.float32)


def background_image(crop_image: NDArray[np.float32], foreground: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture with the person blacked out.

    Args:
        crop_image: float32 (size, size, 3), 0..255.
        foreground: float32 (size, size), 0..1, 1 = person.

    Returns:
        uint8 (size, size, 3).
    """
    pixels = crop_image.astype(np.uint8).astype(np.float32)
    return (pixels * (1 - foreground[..., None])).astype(np.uint8)


def _seed(height: int, width: int, box: Sequence[float]) -> NDArray[np.uint8]:
    """GrabCut's labels from the face: inner face sure, head and shoulders likely, far sides surely not."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))

    def ellipse(center_y: float, radius_x: float, radius_y: float) -> NDArray[np.bool_]:
        return ((columns - x) / radius_x) ** 2 + ((rows - center_y) / radius_y) ** 2 <= 1

    head = ellipse(y - 0.25 * half_height, 1.45 * half_width, 1.6 * half_height)
    slope = np.clip((rows - (y + 0.7 * half_height)) / half_height, 0, 1)
    body = (slope > 0) & (np.abs(columns - x) <= half_width * (1.0 + 1.8 * slope))
    torso = (rows > y + half_height) & (np.abs(columns - x) <= half_width * (0.3 + 0.8 * slope))
    labels[head | body] = cv2.GC_PR_FGD
    far = (np.abs(columns - x) > 2.6 * half_width) & (rows < y + 0.5 * half_height)
    above = rows < y - 2.4 * half_height
    # Where the head leaves room, the picture's upper rim is background; else a sky as pale as the hair leaks in.
    rim = (rows < 0.02 * height) & (y - 1.6 * half_height > 0)
    labels[far | above | rim] = cv2.GC_BGD
    labels[ellipse(y, 0.8 * half_width, 0.9 * half_height) | torso] = cv2.GC_FGD
    return labels


def _grab_cut(image: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    labels = seeds.copy()
    background_model, foreground_model = np.zeros((1, 65)), np.zeros((1, 65))
    # Without a little noise the cut of an evenly coloured picture takes minutes.
    noise = np.random.default_rng(0).normal(scale=2.0, size=image.shape)
    noisy = np.clip(cv2.cvtColor(image, cv2.COLOR_RGB2Lab) + noise, 0, 255).astype(np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(
        noisy,
        labels,
        (0, 0, 0, 0),
        background_model,
        foreground_model,
        _ITERATIONS,
        cv2.GC_INIT_WITH_MASK,
    )
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _largest_part(
    mask: NDArray[np.bool_], seeds: NDArray[np.uint8], thickness: float
) -> NDArray[np.float32]:
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
