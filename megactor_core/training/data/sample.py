"""One training sample: from frames, faces and sound to what a model is told of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPVisionConfig

from ...conditioning.audio import frame_rows
from ...conditioning.background import clip_pixels
from ...conditioning.tensors import background_mask
from ...hearing.features import num_rows
from ...media.waveform import silence
from ...models.config import ModelConfig
from ...vision.foreground import background_image
from ...vision.framing import Framing
from ...vision.modes.levels import show
from ...vision.modes.mode import ClipFaces, DrivingMode
from ...vision.modes.plain import PLAIN
from ...vision.modes.registry import MODES


@dataclass(frozen=True)
class SampleFormat:
    """Format of the samples for a model.

    Attributes:
        size: side of the pictures in pixels.
        latent_size: side of the latents.
        image_encoder_size: side of the image encoder's picture; None where backgrounds are not read.
        mode: how the driver is shown.
        framing: what of a face's surroundings belongs to the square.
        hears: whether sound belongs to a sample.
    """

    size: int
    latent_size: int
    image_encoder_size: int | None = None
    mode: DrivingMode = PLAIN
    framing: Framing = "face"
    hears: bool = False

    @classmethod
    def of(cls, model: ModelConfig, size: int) -> SampleFormat:
        """Format for a model's training in its usual driving mode, on pictures of ``size``."""
        encoder: dict[str, Any] | None = None if model.image_encoder is None else dict(model.image_encoder)
        return cls(
            size,
            model.latent_space.cells(size),
            None if encoder is None else CLIPVisionConfig(**encoder).image_size,
            MODES[model.driving_modes[0]],
            model.framing,
            model.audio_encoder is not None,
        )


@dataclass(frozen=True, eq=False)
class ClipSample:
    """The source of a sample: squares of ``SampleFormat.size``, RGB (S, S, 3), 0..255.

    Attributes:
        reference: uint8.
        foreground: float32 (S, S), 0..1, 1 = the reference's person.
        targets: uint8, one per frame.
        drivers: of any real type, one per frame, with the motion of the targets.
        faces: in the drivers.
        affine: moves what is shown of the driver, see ``levels.show``.
        sound: 16 kHz mono float32 (samples,) from the first frame on; None is silence.
        frame_rate: frames per second.
    """

    reference: NDArray[np.uint8]
    foreground: NDArray[np.float32]
    targets: Sequence[NDArray[np.uint8]]
    drivers: Sequence[NDArray[Any]]
    faces: ClipFaces
    affine: NDArray[np.float64] | None = None
    sound: NDArray[np.float32] | None = None
    frame_rate: Fraction = Fraction(25)


def make_sample(clip: ClipSample, wanted: SampleFormat) -> dict[str, Tensor]:
    """One sample (S: size, L: size of the latents, F: frames).

    - ``references`` uint8 (3, S, S), ``targets`` uint8 (F, 3, S, S)
    - what the mode shows, by its names: ``driving`` uint8 (F, S, S), hints of ControlNets uint8 (F, 3, S, S)
    - ``background_masks`` float32 (1, L, L), 1 = background
    - ``backgrounds`` float32 (3, C, C), CLIP pixels, where they are read
    - ``sound`` float32 (samples,) and ``sound_rows`` int64 (F, n), where it is heard
    """
    shown = show(wanted.mode, clip.drivers, clip.faces, clip.affine)
    sample = {
        "references": channels_first(clip.reference),
        "targets": channels_first(np.stack(clip.targets)),
        **{n: torch.from_numpy(p) if p.ndim == 3 else channels_first(p) for n, p in shown.items()},
        "background_masks": background_mask(clip.foreground, (wanted.latent_size,) * 2)[0],
    }
    if wanted.image_encoder_size is not None:
        background = background_image(clip.reference, clip.foreground)
        sample["backgrounds"] = clip_pixels(background, wanted.image_encoder_size)[0]
    if wanted.hears:
        count = len(clip.targets)
        sound = silence(count / clip.frame_rate) if clip.sound is None else clip.sound
        times = [index / clip.frame_rate for index in range(count)]
        sample["sound"] = torch.from_numpy(sound)
        sample["sound_rows"] = frame_rows(num_rows(len(sound)), times)
    return sample


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """Pictures (..., H, W, 3) as (..., 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
