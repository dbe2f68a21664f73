"""Colours of video that FFmpeg's scaler cannot make into SDR RGB: HDR, wide gamuts, rare matrices.

Numbers are those of ITU-T H.273, whose codes FFmpeg uses. Ordinary video never comes here: greys stay as they
are under every SDR curve, and the primaries of BT.601 differ from BT.709 by less than cameras do, so that
players show them as they are, and so is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

UNSPECIFIED = 2
PQ, HLG = 16, 18
BT709, BT2020, XYZ = 1, 9, 10
BT2020_NCL, ICTCP = 9, 14
YCGCO, BT2020_CL, SMPTE2085, DERIVED_NCL, DERIVED_CL, YCGCO_RE, YCGCO_RO = 8, 10, 11, 12, 13, 16, 17

SCALER_MATRICES = (0, 1, 4, 5, 6, 7, BT2020_NCL)
"""Matrices that FFmpeg's scaler knows."""
RARE_MATRICES = (YCGCO, BT2020_CL, SMPTE2085, DERIVED_NCL, DERIVED_CL, ICTCP, YCGCO_RE, YCGCO_RO)
"""Matrices that ``rare_to_sdr`` knows; what is in neither list counts as unspecified."""

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
# x and y of red, green, blue and white
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_CONVERTED_PRIMARIES = (4, 8, 9, XYZ, 11, 12)
_CONVERTED_TRANSFERS = (4, 5, 8, 9, 10, PQ, 17, HLG)
_BRADFORD = np.array([(0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)])
# Graphics white of HDR pictures, ITU-R BT.2408: 203 candelas a square metre in PQ, 75 % of the signal in HLG.
_PQ_WHITE, _HLG_WHITE = 203.0, 0.75
# Of white: what is darker stays as it is; what is brighter, up to 50 times, is pressed into the rest.
_KNEE = 0.85
_ROWS = 64  # worked on at a time, so that they stay in the processor's cache


@dataclass(frozen=True)
class Colour:
    """Colour description of a stream.

    Attributes:
        primaries, transfer: codes of H.273; 2 where nothing is said.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_hdr(self) -> bool:
        """Whether it is PQ (HDR10, Dolby Vision) or HLG (phones, broadcast)."""
        return self.transfer in (PQ, HLG)

    @property
    def is_usual(self) -> bool:
        """Whether RGB is shown as it is."""
        # PAL and NTSC discs name their standard of 1970 in both fields; players show them like all others.
        old_standard = self.primaries == self.transfer
        converted = self.primaries in _CONVERTED_PRIMARIES or self.transfer in _CONVERTED_TRANSFERS
        return not converted or (old_standard and self.primaries in (4, 5))


def to_sdr(values: NDArray[np.uint16], colour: Colour) -> NDArray[np.uint8]:
    """RGB in the stream's own light to RGB as monitors show it.

    Args:
        values: (H, W, 3), 0..65535.
        colour: of the stream.

    Returns:
        (H, W, 3) with the primaries of BT.709 and the curve of sRGB. HDR is tone-mapped: up to graphics white
        everything keeps its colour, brighter light is pressed together.
    """
    table = _linear_table(colour.transfer)
    return _in_rows(values, lambda rows: _finished(np.take(table, rows), colour))


def rare_to_sdr(
    values: NDArray[np.uint16], depth: int, full_range: bool, matrix: int, colour: Colour
) -> NDArray[np.uint8]:
    """Luma and chroma of a matrix in ``RARE_MATRICES`` to RGB as monitors show it; see ``to_sdr``.

    Args:
        values: (H, W, 3) Y, Cb, Cr, shifted up to 16 bits.
        depth: bits that they had.
        full_range: whether luma goes from 0 to its largest number.
        matrix: code of H.273.
        colour: of the stream.
    """
    if matrix in (YCGCO_RE, YCGCO_RO):
        return _in_rows(values, lambda rows: _usual_or_finished(_reversible(rows, depth, matrix), colour))
    if matrix == ICTCP:
        colour = Colour(BT2020, colour.transfer if colour.is_hdr else PQ)
    if matrix == SMPTE2085:
        colour = Colour(XYZ, colour.transfer)

    def convert(rows: NDArray[np.uint16]) -> NDArray[np.uint8]:
        signal = _signal(rows, depth, full_range)
        if matrix == ICTCP:
            lms = _linear(signal @ _ictcp(colour.transfer), colour.transfer)
            return _finished((lms @ _LMS_TO_RGB).astype(np.float32), colour)
        if matrix in (BT2020_CL, DERIVED_CL):
            rgb = _constant_luminance(signal, _luma(BT2020 if matrix == BT2020_CL else colour.primaries))
        else:
            rgb = signal @ _to_rgb(matrix, colour.primaries)
        return _usual_or_finished(rgb, colour)

    return _in_rows(values, convert)


def _in_rows(
    values: NDArray[np.uint16], convert: Callable[[NDArray[np.uint16]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    image = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        image[top : top + _ROWS] = convert(values[top : top + _ROWS])
    return image


def _usual_or_finished(rgb: NDArray[np.floating], colour: Colour) -> NDArray[np.uint8]:
    """Signal values, 0..1, to what monitors show."""
    if colour.is_usual:
        return np.asarray(np.rint(np.clip(rgb, 0, 1) * 255), np.uint8)
    codes = np.rint(np.clip(rgb, 0, 1) * 65535).astype(np.uint16)
    return _finished(np.take(_linear_table(colour.transfer), codes), colour)


def _finished(light: NDArray[np.float32], colour: Colour) -> NDArray[np.uint8]:
    """Linear light, 1 for white, to what monitors show."""
    primaries = colour.primaries
    if colour.is_hdr and primaries == UNSPECIFIED:
        primaries = BT2020
    if primaries in _CONVERTED_PRIMARIES:
        light = np.asarray(cv2.transform(light, _to_bt709(primaries)), np.float32)
    if colour.is_hdr:
        peak = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        bright = peak > _KNEE
        if bright.any():
            above = (peak[bright] - _KNEE) / (1 - _KNEE)
            shown = _KNEE + (1 - _KNEE) * above / (1 + above)
            light[bright] *= (shown / peak[bright])[:, None]
    codes = (np.clip(light, 0, 1) * 65535 + np.float32(0.5)).astype(np.uint16)
    return np.take(_srgb_table(), codes)


def _linear(signal: NDArray[np.floating], transfer: int) -> NDArray[np.floating]:
    """Light of a signal, 1 for white."""
    signal = np.clip(signal, 0, 1)
    if transfer == PQ:
        power = signal ** (32 / 2523)
        ratio = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
        return ratio ** (16384 / 2610) * (10_000 / _PQ_WHITE)
    if transfer == HLG:
        # Without BT.2100's system gamma: it is 1 at 330 candelas a square metre, where SDR monitors are.
        return _hlg_scene(signal) / _hlg_scene(np.array(_HLG_WHITE))
    if transfer == 8:
        return signal
    if transfer in (9, 10):
        decades = 2.0 if transfer == 9 else 2.5
        return np.where(signal > 0, 10 ** ((signal - 1) * decades), 0)
    if transfer == 17:
        return signal**2.6 * (52.37 / 48)
    if transfer in (4, 5):
        return signal ** (2.2 if transfer == 4 else 2.8)
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _hlg_scene(signal: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(
        signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )


@lru_cache(4)
def _linear_table(transfer: int) -> NDArray[np.float32]:
    return _linear(np.arange(65536) / 65535, transfer).astype(np.float32)


@lru_cache(1)
def _srgb_table() -> NDArray[np.uint8]:
    light = np.arange(65536) / 65535
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(signal * 255).astype(np.uint8)


def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """Linear RGB to CIE XYZ, as a matrix for column vectors."""
    if primaries == XYZ:
        return np.eye(3)
    *colours, white = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in _known(primaries))
    return np.stack(colours, axis=1) * np.linalg.solve(np.stack(colours, axis=1), white)


def _known(primaries: int) -> tuple[tuple[float, float], ...]:
    return _PRIMARIES.get(primaries, _PRIMARIES[BT709])


@lru_cache(4)
def _to_bt709(primaries: int) -> NDArray[np.float64]:
    """Linear RGB to linear RGB of BT.709; white stays white."""
    adapted = _to_xyz(primaries)
    if primaries != XYZ:
        before, after = _BRADFORD @ _to_xyz(primaries).sum(axis=1), _BRADFORD @ _to_xyz(BT709).sum(axis=1)
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(after / before) @ _BRADFORD @ adapted
    return np.asarray(np.linalg.inv(_to_xyz(BT709)) @ adapted)


def _luma(primaries: int) -> NDArray[np.float64]:
    """Shares of red, green and blue in luma."""
    return _to_xyz(BT709 if primaries == XYZ else primaries)[1]


def _signal(values: NDArray[np.uint16], depth: int, full_range: bool) -> NDArray[np.float64]:
    """Y in 0..1, Cb and Cr in -0.5..0.5, as far as they are inside their range."""
    largest = 65536 - 2 ** (16 - depth)
    if full_range:
        # the scaler fills up the low bits of full luma, and of it alone
        return np.stack([values[..., 0] / 65535, *((values[..., i] - 32768.0) / largest for i in (1, 2))], -1)
    scale = np.array((219, 224, 224)) * 256
    return (values - np.array((16, 128, 128)) * 256.0) / scale


def _to_rgb(matrix: int, primaries: int) -> NDArray[np.float64]:
    """Of a linear matrix: Y, Cb, Cr to R, G, B, for row vectors."""
    if matrix == YCGCO:  # Cb is Cg, Cr is Co
        return np.array([(1, 1, 1), (-1, 1, -1), (1, 0, -1)], np.float64)
    if matrix == SMPTE2085:  # R, G, B are X, Y, Z
        return np.array([(0.991902, 1, 1 / 0.986566), (0, 0, 2 / 0.986566), (2, 0, 0)])
    red, green, blue = _luma(primaries)
    to_ycc = np.array(
        [(red, green, blue), np.array((-red, -green, 1 - blue)) / (2 - 2 * blue), np.zeros(3)], np.float64
    )
    to_ycc[2] = np.array((1 - red, -green, -blue)) / (2 - 2 * red)
    return np.asarray(np.linalg.inv(to_ycc).T)


def _constant_luminance(signal: NDArray[np.float64], luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2020-CL and its relatives: luma is the curve of the light, not the sum of curves."""
    red, green, blue = luma.tolist()
    y = signal[..., 0]
    channels = []
    for chroma, share in ((signal[..., 2], red), (signal[..., 1], blue)):
        below, above = _camera_curve(np.array(1 - share)), 1 - _camera_curve(np.array(share))
        channels.append(y + chroma * 2 * np.where(chroma < 0, below, above))
    light_y, light_red, light_blue = (_camera_light(one) for one in (y, *channels))
    light_green = (light_y - red * light_red - blue * light_blue) / green
    return np.stack([channels[0], _camera_curve(np.maximum(light_green, 0)), channels[1]], axis=-1)


def _camera_curve(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Curve of BT.709 and BT.2020."""
    return np.where(light < 0.018054, 4.5 * light, 1.099297 * np.maximum(light, 0) ** 0.45 - 0.099297)


def _camera_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    bent = (np.maximum(signal, 0) + 0.099297) / 1.099297
    return np.where(signal < 0.081243, signal / 4.5, bent ** (1 / 0.45))


def _reversible(values: NDArray[np.uint16], depth: int, matrix: int) -> NDArray[np.float64]:
    """YCgCo-R, in which chroma has one or two bits more than RGB; whole numbers, 0..1."""
    rgb_depth = depth - (2 if matrix == YCGCO_RE else 1)
    y, green, orange = (np.moveaxis(values, -1, 0) >> (16 - depth)).astype(np.int32)
    green, orange = green - (1 << (depth - 1)), orange - (1 << (depth - 1))
    base = y - (green >> 1)
    blue = base - (orange >> 1)
    return np.stack([blue + orange, base + green, blue], axis=-1) / (2**rgb_depth - 1)


def _ictcp(transfer: int) -> NDArray[np.float64]:
    """ICtCp to L'M'S', for row vectors."""
    chroma = [(6610, -13613, 7003), (17933, -17390, -543)]
    if transfer == HLG:
        chroma = [(3625, -7465, 3840), (9500, -9212, -288)]
    return np.asarray(np.linalg.inv(np.array([(2048, 2048, 0), *chroma]) / 4096).T)


_LMS_TO_RGB = np.linalg.inv(np.array([(1688, 2146, 262), (683, 2951, 462), (99, 309, 3688)]) / 4096).T
"""Linear LMS to linear RGB of BT.2020, for row vectors; ITU-R BT.2100."""
