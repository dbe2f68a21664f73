"""Batches of real clips for the denoiser: reference, targets, and the driver with the same motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...dataset.clip_file import ClipFile
from ...dataset.clip_list import list_clips
from ...dataset.parts import check_landmarks, face_landmarks, has_landmarks, read_masks
from ...dataset.shards import BACKGROUND, CLIP, FACES, STYLED, SWAPPED, BrokenSample, Entry
from ...dataset.sound import check_sound
from ...errors import InputError
from ...seeds import Split, clip_generator
from ...vision.crops import Crop, face_area_ratios
from ...vision.foreground import foreground_mask
from ...vision.framing import training_square
from ...vision.modes.mode import ClipFaces
from ...vision.person_segmenter import find_segmenter
from ..config.data import ShardClipsConfig
from .loader import Batch
from .modalities import Modality
from .pictures import feature_weights
from .sample import ClipSample, SampleFormat, make_sample
from .shard_sound import LEAD, sound_length, window_sound

_ATTEMPTS = 100
"""Draws without a usable clip after which the data are given up."""


class ShardClips(Dataset[Batch]):
    """Item ``i`` is a batch of R clips with F frames each (S: size, L: size of the latents).

    - what ``make_sample`` gives, with a first axis of length R; the reference is a random frame of the clip,
      the driver the same frames as the targets, of the clip itself or of its swapped or stylised version.
      What is heard is the window's own sound with a second before and after; silence where a clip has none
    - ``broken`` int64 (): clips that could not be used and were drawn anew

    It depends on the seed and ``i`` alone, whichever worker or rank asks for it; where shards hold no masks,
    also on whether the person segmenter's file is in the models folder.

    Args:
        config: what is drawn.
        seed: seed of the data.
        wanted: what the model asks for; of the config's size.
        split: "train" or "held-out", see ``list_clips``.
        feature_weight: error weight around eyes, brows and mouth; without landmarks a mean face is laid over.

    Raises:
        InputError: no shards or no clips; no sound or landmarks, where the modalities need them; from an
            item: no usable clip in a hundred draws.

    Source: MegActor (arXiv 2405.20851), section 3.2; rates, thresholds and margins as in its public code.
    """

    def __init__(
        self,
        config: ShardClipsConfig,
        seed: int,
        wanted: SampleFormat,
        split: Split,
        feature_weight: float = 1.0,
    ) -> None:
        self.config, self.seed, self.wanted, self.split = config, seed, wanted, split
        self.feature_weight = feature_weight
        self.clips = list_clips(config.shards, config.held_out, split)
        self._segmenter = find_segmenter()
        modalities = wanted.modalities
        if modalities is not None and modalities.speaks:
            check_sound(self.clips)
        self._exact = modalities is not None and modalities.masks
        if self._exact:
            check_landmarks(self.clips)
        self._samples = sound_length(self.clips, self._span) if wanted.hears else None

    @property
    def _span(self) -> int:
        """Frames from a window's first to its last."""
        return (self.config.frames - 1) * self.config.stride + 1

    def __getitem__(self, index: int) -> Batch:
        count = self.config.references
        drawn = [self._draw(index * count + i) for i in range(count)]
        batch = {name: torch.stack([sample[name] for sample, _ in drawn]) for name in drawn[0][0]}
        batch["broken"] = torch.tensor(sum(broken for _, broken in drawn))
        return batch

    def _draw(self, index: int) -> tuple[dict[str, Tensor], int]:
        """A sample, and how many clips were given up for it."""
        rng = clip_generator(self.seed, index, self.split)
        problem = ""
        for attempt in range(_ATTEMPTS):
            clip = self.clips[rng.integers(len(self.clips))]
            try:
                return self._sample(clip, rng, index), attempt
            except (BrokenSample, OSError) as error:
                problem = f"{clip.key} in {clip.shard}: {error}"
        raise InputError(
            "data",
            f"no clip could be used in {_ATTEMPTS} draws; the last one: {problem}",
            "Look at the shards with: dataset inspect",
        )

    def _sample(self, clip: Entry, rng: np.random.Generator, index: int) -> dict[str, Tensor]:
        config = self.config
        modality = self.wanted.modality(self.seed, index, self.split)
        usable, boxes = self._usable_frames(clip)
        span = self._span
        if len(usable) < span:
            raise BrokenSample(f"{len(usable)} usable frames, {span} are needed")
        first = int(rng.integers(len(usable) - span + 1))
        numbers = usable[first : first + span : config.stride]
        masks = read_masks(clip) if BACKGROUND in clip.members else None
        candidates = [number for number in usable if masks is None or number in masks]
        if not candidates:
            raise BrokenSample(f"part {BACKGROUND} has no mask of a usable frame")
        reference_number = int(rng.choice(candidates))
        data = clip.read(CLIP)
        with ClipFile(data) as reader:
            if len(boxes) != reader.num_frames:
                raise BrokenSample(
                    f"part {FACES} tells of {len(boxes)} frames, the clip has {reader.num_frames}"
                )
            frame_rate = reader.frame_rate
            geometry = (reader.num_frames, reader.size)
            crop = self._crop(boxes[[*numbers, reference_number]], reader.size)
            *images, reference = reader.read([*numbers, reference_number])
        targets = [crop.apply(image).clip(0, 255) for image in images]
        version = self._driver_version(clip, rng)
        drivers = targets
        if version != CLIP:
            drivers = [crop.apply(image).clip(0, 255) for image in _read(clip, version, numbers, geometry)]
        portrait = crop.apply(reference).clip(0, 255).astype(np.uint8)
        if masks is None:
            box = crop.to_crop(boxes[reference_number]).tolist()
            foreground = foreground_mask(portrait, box, segmenter=self._segmenter)
        else:
            foreground = crop.apply(cv2.resize(masks[reference_number], geometry[1][::-1]))
        sample = ClipSample(
            reference=portrait,
            foreground=foreground,
            targets=[target.astype(np.uint8) for target in targets],
            drivers=drivers,
            faces=self._faces(clip, crop, boxes[numbers], numbers),
            affine=self._warp(rng),
            landmarks=self._landmarks(clip, crop, numbers),
            augmentation=self.wanted.augmentation(self.seed, index, self.split),
            self_driven=version == CLIP,
        )
        if self._samples is not None:
            if numbers[-1] - numbers[0] != span - 1:
                raise BrokenSample("dark frames part the window, whose sound goes on")
            sample = replace(
                sample,
                sound=self._sound(data, numbers[0], frame_rate, modality),
                sound_start=float(LEAD),
                frame_rate=frame_rate / config.stride,
            )
        return make_sample(sample, self.wanted, self._weights(sample), modality)

    def _sound(
        self, data: bytes, number: int, frame_rate: Fraction, modality: Modality | None
    ) -> NDArray[np.float32]:
        """Of the window; none is decoded for a clip that does not hear it."""
        assert self._samples is not None
        if modality is not None and not modality.hears_speech:
            return np.zeros(self._samples, np.float32)
        return window_sound(data, number, frame_rate, self._samples)

    def _landmarks(
        self, clip: Entry, crop: Crop, numbers: Sequence[int]
    ) -> list[NDArray[np.floating]] | None:
        """Landmarks of the targets in their squares; None where nothing asks for them."""
        if not self._exact and self.feature_weight == 1:
            return None
        if self._exact and not has_landmarks(clip):
            raise BrokenSample(f"part {FACES} has no landmarks")
        landmarks = face_landmarks(clip)
        if len(landmarks) <= numbers[-1]:
            raise BrokenSample(f"part {FACES} is inconsistent")
        return list(crop.to_crop(landmarks[numbers]))

    def _weights(self, sample: ClipSample) -> NDArray[np.float32]:
        """Of the error, (F, L, L)."""
        cells = self.wanted.latent_size
        if self.feature_weight == 1 or sample.landmarks is None:
            return np.ones((len(sample.targets), cells, cells), np.float32)
        scale = cells / self.config.size
        return np.stack(
            [feature_weights(one * scale, cells, self.feature_weight) for one in sample.landmarks]
        )

    def _faces(
        self, clip: Entry, crop: Crop, boxes: NDArray[np.float32], numbers: Sequence[int]
    ) -> ClipFaces:
        """The driver's faces in the squares; those of the targets, whose motion it has."""
        if self.wanted.mode.landmarks == "none":
            return ClipFaces(crop.size, boxes=crop.to_crop(boxes))
        landmarks = crop.to_crop(face_landmarks(clip)[numbers])
        return ClipFaces(
            crop.size, landmarks=list(landmarks), target=landmarks[self.wanted.mode.anchor], subject=clip.key
        )

    def _usable_frames(self, clip: Entry) -> tuple[list[int], NDArray[np.float32]]:
        """Numbers of the frames that are bright enough, and the face box of every frame, (frames, 4)."""
        faces = clip.read_json(FACES)
        try:
            boxes = np.asarray(faces["boxes"], np.float32).reshape(-1, 4)
            bright = np.asarray(faces["luma"], np.float32) > self.config.minimum_luma
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenSample(f"part {FACES} lacks boxes or luma") from error
        if len(boxes) != len(bright) or not np.isfinite(boxes).all():
            raise BrokenSample(f"part {FACES} is inconsistent")
        return np.flatnonzero(bright).tolist(), boxes

    def _crop(self, boxes: NDArray[np.float32], source_size: tuple[int, int]) -> Crop:
        try:
            crop = training_square(boxes, source_size, self.config.size, self.wanted.framing)
        except InputError as error:
            raise BrokenSample(error.problem) from error
        ratios = face_area_ratios(crop.to_crop(boxes), (crop.size, crop.size))
        if ratios.min() < self.config.minimum_face_ratio:
            raise BrokenSample("the face is too small")
        return crop

    def _driver_version(self, clip: Entry, rng: np.random.Generator) -> str:
        other, styled = rng.random(2)
        versions = [part for part in (SWAPPED, STYLED) if part in clip.members]
        if other >= self.config.swap_rate or not versions:
            return CLIP
        return versions[-1] if styled < self.config.styled_share else versions[0]

    def _warp(self, rng: np.random.Generator) -> NDArray[np.float64] | None:
        """Stretches and scales the driver around the middle, all its frames alike; None leaves it."""
        reach, middle = self.config.warp_range, self.config.size / 2
        chance, aspect, scale = rng.uniform([0, 1 - reach, 1 - reach], [1, 1 + reach, 1 + reach])
        if chance >= self.config.warp_rate:
            return None
        stretch = np.array([scale * aspect, scale])
        return np.column_stack([np.diag(stretch), middle * (1 - stretch)])


def _read(
    clip: Entry, version: str, numbers: Sequence[int], geometry: tuple[int, tuple[int, int]]
) -> list[NDArray[np.uint8]]:
    """Frames of another version of the clip, which must have the same frames."""
    with ClipFile(clip.read(version)) as reader:
        if (reader.num_frames, reader.size) != geometry:
            raise BrokenSample(f"part {version} has other frames than the clip")
        return reader.read(numbers)
