"""Measures on clips: closeness to the truth, still backgrounds, flicker, correlation of motion."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ...media.pictures import Images
from ...puppets.motion import MOTION_NAMES, FloatArray
from .correlation import pearson

Pixels = NDArray[np.bool_]
"""A choice of pixels, bool (H, W)."""

HIGHEST_PSNR = 100.0
"""What stands for the PSNR of equal pictures, dB."""

EYES_OPEN = 0.3
"""Gaze is compared where at least one lid is this open: closed eyes show none."""

_GAZE = [MOTION_NAMES.index(name) for name in ("gaze_x", "gaze_y")]
_LIDS = [MOTION_NAMES.index(name) for name in ("eyelid_left", "eyelid_right")]


def psnr(images: Images, truth: Images, pixels: Pixels | None = None) -> float:
    """Peak signal-to-noise ratio in dB, mean over frames.

    Args:
        images, truth: of equal shape.
        pixels: compare only these; all if not given.
    """
    first, second = pixel_tensor(images), pixel_tensor(truth)
    if pixels is not None:
        first, second = (frames[..., torch.from_numpy(pixels)] for frames in (first, second))
    dims = tuple(range(1, first.ndim))
    ratios = peak_signal_noise_ratio(first, second, data_range=1.0, dim=dims, reduction="none")
    return float(ratios.clamp(max=HIGHEST_PSNR).mean())


def ssim(images: Images, truth: Images) -> float:
    """Structural similarity (Wang et al. 2004; Gaussian window of deviation 1.5), mean over frames."""
    # A training in bf16 validates under autocast, which would round away the variances.
    with torch.autocast("cpu", enabled=False):
        similarity = structural_similarity_index_measure(
            pixel_tensor(images), pixel_tensor(truth), data_range=1.0
        )
    assert isinstance(similarity, Tensor)
    return float(similarity)


def background_pixels(masks: FloatArray) -> Pixels:
    """Pixels that show background in every frame, from person masks (F, H, W) in 0..1."""
    return np.asarray((masks == 0).all(axis=0))


def static_pixels(truth: Images) -> Pixels:
    """Pixels that never change over the clip."""
    return np.asarray((truth == truth[:1]).all(axis=(0, 3)))


def flicker(images: Images, pixels: Pixels | None = None) -> float:
    """Mean absolute difference of neighbouring frames in grey levels of 0..255.

    Args:
        images: at least two frames.
        pixels: look only at these; at all if not given.
    """
    change = np.abs(np.diff(images.astype(np.float32), axis=0))
    return float(change.mean() if pixels is None else change[:, pixels].mean())


def sharpness(images: Images) -> float:
    """Mean energy of the Laplacian (its square, in grey levels of 0..255), of all channels and frames.

    Fine lines and edges make it large, softness makes it small.
    """
    return float(np.mean([np.square(cv2.Laplacian(image, cv2.CV_32F)).mean() for image in images]))


def motion_correlation(fitted: FloatArray, truth: FloatArray) -> dict[str, float]:
    """Pearson correlation of each motion parameter over all frames; 0 where one of them is constant.

    Args:
        fitted, truth: motions (frames, 15). Gaze is compared in the frames whose true eyes are open.
    """
    seen = truth[:, _LIDS].max(axis=1) >= EYES_OPEN
    everything = np.ones(len(truth), bool)
    return {
        name: pearson(*(motion[seen if index in _GAZE else everything, index] for motion in (fitted, truth)))
        for index, name in enumerate(MOTION_NAMES)
    }


def pixel_tensor(images: Images) -> Tensor:
    """uint8 (F, H, W, 3) as float32 (F, 3, H, W) in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
