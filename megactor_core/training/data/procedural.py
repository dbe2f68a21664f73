"""Pictures of nothing in particular that have the statistics of photographs, drawn from random numbers.

Dead leaves (Lee, Mumford and Huang 2001, Occlusion models for natural images), noise of natural spectra,
gradients, gratings and letters: what networks learn from such pictures holds for photographs as well (Baradad
et al. 2021, arXiv 2106.05963).
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.floating[Any]]

_LETTERS = string.ascii_letters + string.digits + "!?&%#@+=()"
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def procedural_picture(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A picture (size, size, 3), uint8 RGB, whole in the random numbers of ``rng``."""
    paint = _KINDS[rng.choice(len(_KINDS), p=_SHARES)]
    image = paint(rng, size)
    if rng.random() < 0.5:  # lenses and downscaling leave little at the finest grain
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)).astype(np.float32)
    return np.clip(_exposed(rng, image), 0, 255).astype(np.uint8)


def _exposed(rng: np.random.Generator, image: FloatImage) -> FloatImage:
    """The picture in another light: contrast, brightness, saturation, and darker corners."""
    grey = image.mean(2, keepdims=True)
    image = grey + rng.uniform(0.2, 1.3) * (image - grey)
    image = (image - image.mean()) * rng.uniform(0.6, 1.3) + rng.uniform(70, 180)
    if rng.random() < 0.3:
        across = np.linspace(-1, 1, len(image), dtype=np.float32)
        image = image * (1 - rng.uniform(0, 0.5) * (across[:, None] ** 2 + across**2) / 2)[..., None]
    return image


def _colour(rng: np.random.Generator) -> FloatImage:
    """A colour (3,), more often greyish than not."""
    grey = rng.uniform(0, 255)
    return np.clip(grey + rng.normal(0, rng.uniform(5, 70), 3), 0, 255).astype(np.float32)


def _flat(rng: np.random.Generator, side: int) -> FloatImage:
    return np.broadcast_to(_colour(rng), (side, side, 3)).copy()


def _gradient(rng: np.random.Generator, side: int) -> FloatImage:
    """One colour turning into another, along a line or around a point."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        share = np.cos(angle) * x + np.sin(angle) * y
    else:
        share = np.hypot(x - rng.uniform(), y - rng.uniform())
    share = (share - share.min()) / np.ptp(share)
    share = (share ** rng.uniform(0.5, 2))[..., None]
    return (1 - share) * _colour(rng) + share * _colour(rng)


def _spectral(rng: np.random.Generator, side: int) -> FloatImage:
    """Noise whose amplitude falls with a power of its frequency, as that of photographs does (Field 1987)."""
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    frequency = np.maximum(np.hypot(down * rng.uniform(0.7, 1.4), across), 1 / side)
    amplitude = frequency ** -rng.uniform(0.8, 1.8)
    channels = []
    for _ in range(3):
        noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(side, side))) * amplitude, s=(side, side))
        channels.append(noise / noise.std())
    light, red, blue = channels
    chroma = rng.uniform(0, 0.5)
    mixed = np.stack([light + chroma * red, light - chroma * (red + blue) / 2, light + chroma * blue], 2)
    return (_colour(rng) + rng.uniform(15, 55) * mixed).astype(np.float32)


def _grating(rng: np.random.Generator, side: int) -> FloatImage:
    """Stripes, checks or scales, bent: cloth, hair, bricks, grass."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    bend = 2 * np.pi * rng.uniform(0.5, 3, 2)
    x = x + np.float32(rng.normal(0, 0.04)) * np.sin(bend[0] * y)
    y = y + np.float32(rng.normal(0, 0.04)) * np.sin(bend[1] * x)
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    # from the width of the picture to a few pixels
    wave = np.sin(2 * np.pi * np.exp(rng.uniform(np.log(2), np.log(side / 4))) * along)
    if rng.random() < 0.4:
        beside = np.cos(angle) * y - np.sin(angle) * x
        wave = wave * np.sin(2 * np.pi * np.exp(rng.uniform(np.log(2), np.log(side / 4))) * beside)
    share = 1 / (1 + np.exp(-np.exp(rng.uniform(0, 3)) * wave))[..., None]
    return ((1 - share) * _fill(rng, side) + share * _fill(rng, side)).astype(np.float32)


def _letters(rng: np.random.Generator, side: int) -> FloatImage:
    """Lines of letters over a fill."""
    image = _fill(rng, side)
    for _ in range(rng.integers(1, 7)):
        text = "".join(rng.choice(list(_LETTERS), rng.integers(2, 14)))
        place = (int(rng.uniform(-0.2, 0.7) * side), int(rng.uniform(0.1, 1) * side))
        height, stroke = rng.uniform(0.5, 3) * side / 256, int(rng.integers(1, 5))
        font = _FONTS[rng.integers(len(_FONTS))]
        mask = np.zeros((side, side), np.uint8)
        cv2.putText(mask, text, place, font, height, 255, stroke, cv2.LINE_AA)
        image += mask[..., None] / np.float32(255) * (_colour(rng) - image)
    return image


def _fill(rng: np.random.Generator, side: int) -> FloatImage:
    """What a surface may look like."""
    return (_flat, _gradient, _spectral)[rng.choice(3, p=(0.2, 0.4, 0.4))](rng, side)


def _leaves(rng: np.random.Generator, side: int) -> FloatImage:
    """Leaves on leaves, of all sizes: their edges are where surfaces hide each other."""
    surfaces = [_fill(rng, side) for _ in range(4)] + [_grating(rng, side)]
    image = _fill(rng, side)
    smallest, largest = side / 80, side / rng.uniform(1.5, 4)
    # as many on every scale; where the large come first, fine ones stay in sight
    radii = np.exp(rng.uniform(np.log(smallest), np.log(largest), int(rng.integers(20, 200))))
    if rng.random() < 0.7:
        radii = np.sort(radii)[::-1]
    for radius in radii:
        _add_leaf(rng, image, surfaces[rng.integers(len(surfaces))], radius)
    return image


def _add_leaf(rng: np.random.Generator, image: FloatImage, surface: FloatImage, radius: float) -> None:
    """Paint one leaf of a surface, shaded as if it were round, in place."""
    side = len(image)
    centre = rng.uniform(0, side, 2)
    corners = int(rng.choice([3, 4, 6, 40, 40, 40]))
    around = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 40 else np.linspace(0, 2 * np.pi, 40)
    wobble = 1 + rng.uniform(0, 0.35) * np.sin(rng.integers(1, 5) * around + rng.uniform(0, 6))
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.3, 1)
    points = radius * wobble * np.stack([np.cos(around), flat * np.sin(around)])
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ points
    points = (turned.T + centre).astype(np.float32)
    low = np.clip(np.floor(points.min(0)).astype(int) - 1, 0, side)
    high = np.clip(np.ceil(points.max(0)).astype(int) + 2, 0, side)
    if (high <= low).any():
        return
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    height, width = high[1] - low[1], high[0] - low[0]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round((points - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    light = rng.normal(0, 0.35, 2).astype(np.float32)
    x = ((np.arange(low[0], high[0]) - centre[0]) / radius).astype(np.float32)
    y = ((np.arange(low[1], high[1]) - centre[1]) / radius).astype(np.float32)
    shade = 1 + np.clip(light[0] * x + light[1] * y[:, None], -0.6, 0.6)
    tint = (rng.uniform(0.5, 1.3) * (1 + rng.normal(0, 0.12, 3))).astype(np.float32)
    leaf = surface[part] * (shade[..., None] * tint)
    alpha = mask[..., None] / np.float32(255)
    image[part] += alpha * (leaf - image[part])


_KINDS: tuple[Callable[[np.random.Generator, int], FloatImage], ...] = (
    _leaves,
    _spectral,
    _grating,
    _letters,
    _gradient,
)
_SHARES = (0.6, 0.12, 0.1, 0.1, 0.08)
