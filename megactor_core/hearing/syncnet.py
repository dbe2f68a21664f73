"""SyncNet's lip sync: confidence and offset of a face and its sound, with a file of weights of the user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..media.waveform import SAMPLE_RATE
from ..models.syncnet import COEFFICIENTS, COLUMNS, WINDOW, SyncNet
from ..weights.tensor_files import open_tensor_file

FRAME_RATE = 25
LARGEST_OFFSET = 15
"""Frames to both sides in which the best fit is looked for."""
_COLUMNS_PER_FRAME = 4
_FEWEST = 5
"""Pairs of vectors that a distance is the mean of, at least."""
_FACES_AT_ONCE = 32

_SAMPLES, _HOP, _FFT, _BANDS, _LIFTER, _EMPHASIS = 400, 160, 512, 26, 22, 0.97
_FULL_SCALE = 32768
"""SyncNet was trained on 16-bit samples, whose energy is the first coefficient."""

_LAYER = re.compile(r"(netcnnaud|netfcaud|netcnnlip|netfclip)\.(\d+)\.(weight|bias|running_mean|running_var)")


@dataclass(frozen=True)
class SyncOffset:
    """Agreement of a face with its sound.

    Attributes:
        confidence: median of the mean distances at all offsets minus the smallest.
        offset: frames of 25 a second by which the mouth comes after its sound at the smallest distance,
            -15..15; negative where it comes before.
    """

    confidence: float
    offset: int


def load_syncnet(path: Path) -> SyncNet:
    """SyncNet of a safetensors file, or of a pickle of tensors, of which no code is run.

    The keys are ``netcnnaud.0.weight`` and so on: ``netcnnaud``, ``netfcaud``, ``netcnnlip`` or
    ``netfclip``, the layer's number, and ``weight``, ``bias``, ``running_mean`` or ``running_var``. Layers
    are told by their order, so that the numbers of layers without weights do not matter.

    Raises:
        InputError: no such file, or none of SyncNet's second version.
    """
    file = open_tensor_file(path)
    network = SyncNet()
    expected = {name: tuple(t.shape) for name, t in network.state_dict().items() if _LAYER.fullmatch(name)}
    ours, theirs = (sorted(filter(_LAYER.fullmatch, names), key=_place) for names in (expected, file.shapes))
    if [expected[name] for name in ours] != [file.shapes[name] for name in theirs]:
        problem = "does not hold the tensors of SyncNet's second version"
        raise InputError(path, problem, "Give syncnet_v2.model, or a .safetensors file of its tensors")
    tensors = [tensor.float().clone() for _, tensor in file.stream(theirs)]
    network.load_state_dict(dict(zip(ours, tensors, strict=True)), strict=False)
    return network.eval()


def _place(name: str) -> tuple[str, int, str]:
    part, number, kind = name.split(".")
    return part, int(number), kind


@torch.inference_mode()
def measure_sync(network: SyncNet, faces: NDArray[np.uint8], sound: NDArray[np.float32]) -> SyncOffset | None:
    """Confidence and offset of a clip.

    Args:
        network: on any device.
        faces: uint8 RGB (F, 224, 224, 3), 25 a second.
        sound: float32 (samples,), 16 kHz mono, from the first face on.

    Returns:
        None where the clip is too short to tell.
    """
    columns = torch.from_numpy(mfcc(sound)).T
    count = min(len(faces) - WINDOW + 1, (columns.shape[1] - COLUMNS) // _COLUMNS_PER_FRAME + 1)
    if count < LARGEST_OFFSET + _FEWEST:
        return None
    device = next(network.parameters()).device
    # The tower has no window in time but its first layer's, so that a frame is seen once for all windows.
    seen = []
    for first in range(0, len(faces) - WINDOW + 1, _FACES_AT_ONCE):
        part = faces[first : first + _FACES_AT_ONCE + WINDOW - 1, ..., ::-1].copy()
        seen.append(network.see(torch.from_numpy(part).to(device, torch.float32).permute(3, 0, 1, 2)))
    windows = columns.unfold(1, COLUMNS, _COLUMNS_PER_FRAME).permute(1, 0, 2).to(device, torch.float32)
    return offset_of(torch.cat(seen).cpu(), network.hear(windows).cpu())


def offset_of(seen: Tensor, heard: Tensor) -> SyncOffset | None:
    """Confidence and offset of vectors that follow one another 25 times a second.

    Unlike in the public program, pairs beyond the ends do not count as vectors of zero.

    Args:
        seen, heard: (n, width), n may differ.

    Returns:
        None where fewer than five pairs are left at some offset.
    """
    distances = []
    for offset in range(-LARGEST_OFFSET, LARGEST_OFFSET + 1):
        later, earlier = seen[max(offset, 0) :], heard[max(-offset, 0) :]
        count = min(len(later), len(earlier))
        if count < _FEWEST:
            return None
        distances.append(float(torch.linalg.vector_norm(later[:count] - earlier[:count], dim=1).mean()))
    curve = np.array(distances)
    return SyncOffset(float(np.median(curve) - curve.min()), int(curve.argmin()) - LARGEST_OFFSET)


def mfcc(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mel-frequency cepstral coefficients as SyncNet hears them, (columns, 13), 100 columns a second.

    Windows of 25 ms without a taper, emphasis .97, 26 triangles over 0 to 8 kHz of 512 points, sine lifter of
    22; the first coefficient is the logarithm of the energy.

    Args:
        sound: float32 (samples,), 16 kHz mono, -1..1.
    """
    samples = np.round(sound.astype(np.float64) * _FULL_SCALE)
    emphasised = np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])
    count = 1 + max(0, -(-(len(sound) - _SAMPLES) // _HOP))
    padded = np.pad(emphasised, (0, max(0, (count - 1) * _HOP + _SAMPLES - len(emphasised))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SAMPLES)[::_HOP][:count]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT
    tiny = np.finfo(np.float64).eps
    bands = np.log(np.maximum(power @ _triangles().T, tiny))
    cepstrum = bands @ _cosines().T
    numbers = np.arange(COEFFICIENTS)
    cepstrum *= 1 + _LIFTER / 2 * np.sin(np.pi * numbers / _LIFTER)
    cepstrum[:, 0] = np.log(np.maximum(power.sum(axis=1), tiny))
    return cepstrum


@cache
def _triangles() -> NDArray[np.float64]:
    """Filters (26, 257) whose corners are whole points of the spectrum, even on the mel scale."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _BANDS + 2) / 2595) - 1)
    corners = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    points = np.arange(_FFT // 2 + 1)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (points - low) / (middle - low), (high - points) / (high - middle)
    return np.maximum(np.where(points < middle, rising, falling), 0)


@cache
def _cosines() -> NDArray[np.float64]:
    """The orthonormal discrete cosine transform (type 2) of 26 values, its first 13 rows."""
    numbers, points = np.arange(COEFFICIENTS)[:, None], np.arange(_BANDS) + 0.5
    rows = np.sqrt(2 / _BANDS) * np.cos(np.pi * numbers * points / _BANDS)
    rows[0] /= np.sqrt(2)
    return rows
