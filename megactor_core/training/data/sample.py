"""One training sample: from frames, faces and sound to what a model is told of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...conditioning.audio import frame_rows
from ...conditioning.background import clip_pixels
from ...conditioning.tensors import background_mask
from ...hearing.features import ROWS_PER_SECOND, num_rows
from ...media.waveform import SAMPLE_RATE, silence
from ...models.config import ModelConfig
from ...seeds import Split
from ...vision.foreground import background_image
from ...vision.framing import Framing
from ...vision.modes.hints import FACE
from ...vision.modes.levels import show
from ...vision.modes.mode import ClipFaces, DrivingMode
from ...vision.modes.plain import PLAIN
from ...vision.modes.registry import MODES
from ..config.controls import ControlsConfig
from ..config.modalities import ModalitiesConfig
from .hint_augmentation import HintAugmentation, draw_augmentation
from .modalities import Modality, draw_modality, part_cells, whole_tokens

_CONTEXT = 0.5
"""Seconds of sound around a clip that an encoder hears with it; rows that frames read are within 0.12."""


@dataclass(frozen=True)
class SampleFormat:
    """Format of the samples for a model.

    Attributes:
        size: side of the pictures in pixels.
        latent_size: side of the latents.
        image_encoder_size: side of the image encoder's picture; None where backgrounds are not read.
        patch_size: latent cells along a side of the denoiser's finest token.
        mode: how the driver is shown.
        framing: what of a face's surroundings belongs to the square.
        hears: whether sound belongs to a sample.
        modalities: draws of what each clip shows and lets hear; None: all of it.
        controls: how hints of ControlNets are changed; None: not at all.
    """

    size: int
    latent_size: int
    image_encoder_size: int | None = None
    patch_size: int = 1
    mode: DrivingMode = PLAIN
    framing: Framing = "face"
    hears: bool = False
    modalities: ModalitiesConfig | None = None
    controls: ControlsConfig | None = None

    @classmethod
    def of(
        cls,
        model: ModelConfig,
        size: int,
        modalities: ModalitiesConfig | None = None,
        controls: ControlsConfig | None = None,
    ) -> SampleFormat:
        """Format for a model's training in its usual driving mode, on pictures of ``size``."""
        from transformers import CLIPVisionConfig  # seconds, and no worker that makes samples needs it

        encoder: dict[str, Any] | None = None if model.image_encoder is None else dict(model.image_encoder)
        return cls(
            size,
            model.latent_space.cells(size),
            None if encoder is None else CLIPVisionConfig(**encoder).image_size,
            model.denoiser.patch_size,
            MODES[model.driving_modes[0]],
            model.framing,
            model.audio_encoder is not None,
            modalities,
            controls,
        )

    def modality(self, seed: int, index: int, split: Split) -> Modality | None:
        """Of clip ``index``; None where nothing is drawn."""
        return None if self.modalities is None else draw_modality(self.modalities, seed, index, split)

    def augmentation(self, seed: int, index: int, split: Split) -> HintAugmentation | None:
        """Of clip ``index``'s hints; None where there are no hints."""
        if FACE not in self.mode.pictures:
            return None
        return draw_augmentation(self.controls or ControlsConfig(), seed, index, split)


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
        landmarks: of the face in every target, (68, 2) in pixels; needed where a modality masks or weighs.
        sound: 16 kHz mono float32 (samples,); None is silence.
        sound_start: seconds within the sound at which the first frame is, so that frames hear what is around
            them also where the clip begins amidst it.
        frame_rate: frames per second.
        augmentation: of the hints of ControlNets; None where there are none.
        self_driven: whether the driver is the target itself.
    """

    reference: NDArray[np.uint8]
    foreground: NDArray[np.float32]
    targets: Sequence[NDArray[np.uint8]]
    drivers: Sequence[NDArray[Any]]
    faces: ClipFaces
    affine: NDArray[np.float64] | None = None
    landmarks: Sequence[NDArray[np.floating]] | None = None
    sound: NDArray[np.float32] | None = None
    sound_start: float = 0.0
    frame_rate: Fraction = Fraction(25)
    augmentation: HintAugmentation | None = None
    self_driven: bool = False


def make_sample(
    clip: ClipSample, wanted: SampleFormat, weights: NDArray[np.float32], modality: Modality | None = None
) -> dict[str, Tensor]:
    """One sample (S: size, L: size of the latents, F: frames).

    - ``references`` uint8 (3, S, S), ``targets`` uint8 (F, 3, S, S)
    - what the mode shows, by its names: ``driving`` uint8 (F, S, S), hints of ControlNets uint8 (F, 3, S, S)
    - ``background_masks`` float32 (1, L, L), 1 = background
    - ``backgrounds`` float32 (3, C, C), CLIP pixels, where they are read
    - ``weights`` float32 (F, L, L) of the error, as given; masked and emphasised by a modality
    - ``sound`` float32 (samples,) and ``sound_rows`` int64 (F, n), where it is heard
    - with a modality what ``_of_modality`` adds
    """
    mode = wanted.mode if modality is None else modality.mode(wanted.mode)
    if clip.augmentation is not None:
        mode = clip.augmentation.mode(mode, disguised=clip.self_driven)
    shown = show(mode, clip.drivers, clip.faces, clip.affine)
    sample = {
        "references": channels_first(clip.reference),
        "targets": channels_first(np.stack(clip.targets)),
        **{n: torch.from_numpy(p) if p.ndim == 3 else channels_first(p) for n, p in shown.items()},
        "background_masks": background_mask(clip.foreground, (wanted.latent_size,) * 2)[0],
        "weights": torch.from_numpy(weights),
    }
    if wanted.image_encoder_size is not None:
        background = background_image(clip.reference, clip.foreground)
        sample["backgrounds"] = clip_pixels(background, wanted.image_encoder_size)[0]
    if wanted.hears:
        count = len(clip.targets)
        sound = silence(count / clip.frame_rate) if clip.sound is None else clip.sound
        if modality is not None:
            sound = modality.heard(sound)
        start = Fraction(round(clip.sound_start * SAMPLE_RATE), SAMPLE_RATE)
        times = [start + index / clip.frame_rate for index in range(count)]
        sample["sound"] = torch.from_numpy(sound)
        sample["sound_rows"] = frame_rows(num_rows(len(sound)), times)
    return sample if modality is None else {**sample, **_of_modality(clip, wanted, weights, modality)}


def _of_modality(
    clip: ClipSample, wanted: SampleFormat, weights: NDArray[np.float32], modality: Modality
) -> dict[str, Tensor]:
    """What a modality adds to a sample.

    - ``weights`` float32 (F, L, L): 0 in masked parts of the face, more in the lower face that speaks
    - ``hidden`` bool (L, L): cells of masked parts in any frame
    - ``sounding`` bool (F, L, L): cells that the sound reaches
    - ``shows``, ``hears``, ``reads`` bool (): whether driver, sound and reference are kept
    - ``sound_weight`` float32 ()

    Masked parts reach to the borders of the tokens they are in: a token is predicted from all its cells.
    """
    draw, cells = modality.draw, wanted.latent_size

    def in_parts(*parts: str) -> NDArray[np.bool_]:
        if not parts or clip.landmarks is None:
            return np.zeros((len(clip.targets), cells, cells), bool)
        return part_cells(clip.landmarks, parts, wanted.size, cells)

    masked, lower = whole_tokens(in_parts(*draw.masked), wanted.patch_size), in_parts("mouth")
    if modality.hears_speech and draw.sound_weight:
        weights = np.where(lower, np.maximum(weights, modality.config.speech_weight), weights)
    return {
        "weights": torch.from_numpy(np.where(masked, 0, weights).astype(np.float32)),
        "hidden": torch.from_numpy(masked.any(axis=0)),
        "sounding": torch.from_numpy(lower if modality.local_sound else np.ones_like(lower)),
        "shows": torch.tensor(draw.show != "none"),
        "hears": torch.tensor(draw.sound != "none"),
        "reads": torch.tensor(draw.reference),
        "sound_weight": torch.tensor(draw.sound_weight),
    }


def sound_around(
    sound: NDArray[np.float32], start: float, seconds: float
) -> tuple[NDArray[np.float32], float]:
    """The part of a sound that a clip needs, of one length for all clips that last as long.

    Args:
        sound: float32 (samples,), 16 kHz; what is beyond its end is silence.
        start: of the clip within it, in seconds.
        seconds: length of the clip.

    Returns:
        The clip's part with half a second before and behind, as far as the sound goes back; and the clip's
        start within it. It begins with a row of features of the whole sound.
    """
    row = SAMPLE_RATE // ROWS_PER_SECOND
    first = max(0, int((start - _CONTEXT) * ROWS_PER_SECOND)) * row
    length = math.ceil(round((seconds + 2 * _CONTEXT) * ROWS_PER_SECOND, 3)) * row
    part = sound[first : first + length]
    return np.pad(part, (0, length - len(part))), start - first / SAMPLE_RATE


def channels_first(images: NDArray[np.uint8]) -> Tensor:
    """Pictures (..., H, W, 3) as (..., 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
