"""The five steps joined: look, condition, sample, deliver, whoever holds the networks."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .conditioning.conditions import (
    BackgroundCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
)
from .errors import InputError
from .media.outputs import check_output
from .media.pictures import load_picture
from .media.reading import open_driving
from .media.source import DrivingSource
from .media.writing import FORMATS, VideoWriter
from .models.config import ModelConfig
from .sampling.sampler import Progress, SamplingSettings, Step
from .vision.crops import checked_size
from .vision.driving import DrivingMode, PreparedDriving, prepare_driving
from .vision.face_patches import BestFrame
from .vision.faces import Detector
from .vision.landmarks import Landmarker
from .vision.paste import paste_back
from .vision.portrait import CropMode, Portrait, segment_reference

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class AnimationReport:
    """What came out.

    Attributes:
        output: the file that was written.
        num_frames: its frames, as many as were driven.
        seconds: wall clock from the first look to the finished file.
        notes: lines worth telling the user, e.g. frames without a face.
        portrait: what was taken of the reference picture.
        driving: what was taken of the driver.
    """

    output: Path
    num_frames: int
    seconds: float
    notes: tuple[str, ...]
    portrait: Portrait
    driving: PreparedDriving

    @property
    def seconds_per_frame(self) -> float:
        return self.seconds / self.num_frames


class PortraitAnimator(ABC):
    """Animates portraits; every step can be called on its own.

    What needs a network is left to those who hold one; ``animator.Animator`` holds the core's own.

    Args:
        config: of the model.
        detector, landmarker: find faces and their landmarks.
    """

    def __init__(
        self, config: ModelConfig, detector: Detector | None = None, landmarker: Landmarker | None = None
    ) -> None:
        self.config = config
        self.detector = detector
        self.landmarker = landmarker

    @abstractmethod
    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        """Latents, mask and modulation of the portrait; the seed matters where the posterior is sampled."""

    @abstractmethod
    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        """Tokens of the portrait with the person blacked out."""

    @abstractmethod
    def encode_driving(
        self,
        driving: PreparedDriving,
        reference: ReferenceCondition,
        on_chunk: Callable[[int], None] | None = None,
    ) -> DrivingCondition:
        """Features of the driving frames, read in chunks; ``on_chunk`` is told the frames done so far."""

    @abstractmethod
    def encode_hints(
        self,
        driving: PreparedDriving,
        strengths: Mapping[str, ControlStrength],
        on_chunk: Callable[[int], None] | None = None,
    ) -> dict[str, ControlCondition]:
        """What the ControlNets see of the driving frames, read in chunks; empty where the model has none."""

    @abstractmethod
    def sample(
        self,
        conditions: Conditions,
        settings: SamplingSettings,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Tensor:
        """Scaled latents of the clip, ``(1, channels, frames, h, w)``; callbacks as in ``sampler.sample``."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Iterator[NDArray[np.uint8]]:
        """Frames of the clip, uint8 (size, size, 3), decoded a few at a time."""

    @abstractmethod
    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        """Raises InputError where a clip needs more memory than there is."""

    @property
    def size(self) -> int:
        """Side of the square the model was made for, in pixels."""
        return self.config.defaults.size

    def settings(self, **changes: Any) -> SamplingSettings:
        """The model's sampling defaults with changes; see ``SamplingSettings``."""
        settings = SamplingSettings.from_defaults(self.config.defaults, **changes)
        settings.validate(self.config.denoiser)
        return settings

    def segment_reference(
        self, picture: NDArray[np.uint8], *, size: int | None = None, **options: Any
    ) -> Portrait:
        """Look at the portrait; options as in ``vision.portrait.segment_reference``."""
        size = self.checked_size(size)
        antialias = self.config.antialiased_crops
        return segment_reference(picture, size, detector=self.detector, antialias=antialias, **options)

    def prepare_driving(
        self, source: DrivingSource, *, size: int | None = None, **options: Any
    ) -> PreparedDriving:
        """Look at the driver; options as in ``vision.driving.prepare_driving``.

        Raises:
            InputError: also for a mode that is not the model's.
        """
        size = self.checked_size(size)
        options["mode"] = checked_mode(self.config, options.get("mode"))
        return prepare_driving(
            source,
            size,
            detector=self.detector,
            landmarker=self.landmarker,
            antialias=self.config.antialiased_crops,
            **options,
        )

    def condition(
        self,
        portrait: Portrait,
        driving: PreparedDriving,
        seed: int = 42,
        on_chunk: Callable[[int], None] | None = None,
        *,
        more_portraits: Sequence[Portrait] = (),
        strengths: Mapping[str, ControlStrength] | None = None,
    ) -> Conditions:
        """Everything the denoiser is told.

        Args:
            portrait: of the person.
            driving: the motion.
            seed: matters where the posterior of the reference is sampled.
            on_chunk: told the driving frames done so far.
            more_portraits: of the same person; the denoiser reads their tokens too.
            strengths: of the ControlNets, by name.
        """
        reference = self.encode_reference(portrait, seed)
        if more_portraits:
            latents = [self.encode_reference(other, seed).latents for other in more_portraits]
            reference = replace(reference, latents=torch.cat([reference.latents, *latents]))
        background = self.encode_background(portrait)
        encoded = self.encode_driving(driving, reference, on_chunk)
        controls = self.encode_hints(driving, strengths or {}, on_chunk)
        return Conditions(reference, background, encoded, controls=controls)

    def animate(
        self,
        reference: PathLike | NDArray[np.uint8],
        driving: PathLike | DrivingSource,
        output: PathLike,
        *,
        crop: CropMode = "face",
        driving_crop: CropMode | None = None,
        face: Any = "largest",
        driving_face: Any = "largest",
        mask: NDArray[np.float32] | None = None,
        size: int | None = None,
        start: int = 0,
        stop: int | None = None,
        paste: bool = False,
        audio: bool = True,
        overwrite: bool = False,
        settings: SamplingSettings | None = None,
        more_references: Sequence[PathLike | NDArray[np.uint8]] = (),
        strengths: Mapping[str, ControlStrength] | None = None,
        on_prepare: Callable[[int, int], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
        on_frame: Callable[[int, NDArray[np.uint8]], None] | None = None,
        **driving_options: Any,
    ) -> AnimationReport:
        """One portrait and one driver in, one video out.

        Args:
            reference: picture file or uint8 RGB (H, W, 3).
            driving: driving file, or what ``open_driving`` gave.
            output: video file to write.
            crop, face, mask: see ``vision.portrait.segment_reference``.
            driving_crop: like ``crop``, of the driver; by default the same way, and ``"face"`` where ``crop``
                is a box.
            driving_face: which face of the driver.
            size: side of the square; the model's own by default.
            start, stop: the driving frames to use, as in a slice.
            paste: put the result back into the whole picture, at its resolution.
            audio: keep the driver's sound.
            overwrite: replace an existing file.
            settings: how to sample; the model's defaults otherwise.
            more_references: other pictures of the same person, cut out in the same way.
            strengths: of the ControlNets, by name (``models.build.CONTROLS``).
            on_prepare: called while the driver is looked at and encoded, with what is done and the whole.
            on_progress: called before every window.
            on_step: called after every step of sampling.
            on_frame: called with the number and the picture of every frame as it is written.
            driving_options: mode, best_frame, lost, smoothing of ``vision.driving.prepare_driving``.

        Raise in a callback to cancel: nothing is left behind.

        Raises:
            InputError: anything given that cannot be used.
        """
        begin = time.perf_counter()
        settings = settings or self.settings()
        given = [reference, driving.path if isinstance(driving, DrivingSource) else driving]
        given += more_references
        checked_mode(self.config, driving_options.get("mode"))
        check_controls(self.config, strengths or {}, driving_options.get("best_frame"))
        files = [path for path in given if isinstance(path, (str, os.PathLike))]
        check_output(output, FORMATS, overwrite, files)
        picture, *others = (
            one if isinstance(one, np.ndarray) else load_picture(one) for one in (reference, *more_references)
        )
        source = driving if isinstance(driving, DrivingSource) else open_driving(driving)
        source = source.part(start, stop)
        size = self.checked_size(size)
        height, width = picture.shape[:2] if paste else (size, size)
        writer = VideoWriter(
            output,
            width,
            height,
            source.frame_rate,
            audio_source=source.sound if audio else None,
            overwrite=overwrite,
            audio_start=source.sound_start,
        )
        self.check_memory(settings, size, source.num_frames)

        def prepared_frames(done: int) -> None:
            if on_prepare is not None:
                on_prepare(done, 2 * source.num_frames)

        portrait = self.segment_reference(picture, size=size, crop=crop, face=face, mask=mask)
        if driving_crop is None:
            driving_crop = crop if isinstance(crop, str) else "face"
        prepared = self.prepare_driving(
            source,
            size=size,
            crop=driving_crop,
            face=driving_face,
            portrait=portrait,
            on_frame=prepared_frames,
            **driving_options,
        )
        conditions = self.condition(
            portrait,
            prepared,
            settings.seed,
            lambda done: prepared_frames(source.num_frames + done),
            more_portraits=[self.segment_reference(other, size=size, crop=crop) for other in others],
            strengths=strengths,
        )
        latents = self.sample(conditions, settings, on_progress, on_step)
        with writer:
            for index, (moment, frame) in enumerate(zip(prepared.times(), self.decode(latents), strict=True)):
                if paste:
                    frame = paste_back(picture, portrait.crop, frame, portrait.original_foreground)
                writer.write(frame, moment)
                if on_frame is not None:
                    on_frame(index, frame)
        notes = (prepared.report,) if prepared.report else ()
        seconds = time.perf_counter() - begin
        return AnimationReport(Path(output), prepared.num_frames, seconds, notes, portrait, prepared)

    def checked_size(self, size: int | None) -> int:
        """The size to use; see ``vision.crops.checked_size``."""
        return checked_size(self.size if size is None else size)


def checked_mode(config: ModelConfig, mode: DrivingMode | None = None) -> DrivingMode:
    """What is shown of the driver to a model; its usual way where none is given.

    Raises:
        InputError: not one of the model's.
    """
    modes: tuple[DrivingMode, ...] = ("plain", "contour") if config.control_network is None else ("hints",)
    if mode is not None and mode not in modes:
        raise InputError(
            f"driving mode {mode}",
            f"is not for a model of the family {config.family}",
            f"use {' or '.join(modes)}",
        )
    return mode or modes[0]


def check_controls(
    config: ModelConfig, strengths: Mapping[str, ControlStrength], best_frame: BestFrame | None = None
) -> None:
    """Raises InputError for what only ControlNets can use, where the model has none."""
    given = [f"strength of {name}" for name in strengths]
    given += [] if best_frame is None else [f"best frame {best_frame}"]
    if given and config.control_network is None:
        raise InputError(
            ", ".join(given),
            f"a model of the family {config.family} has no ControlNets",
            "leave it out, or use an X-Portrait model",
        )
