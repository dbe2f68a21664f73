"""The five steps joined: look, condition, sample, deliver, whoever holds the networks."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..conditioning.amplitude import scale_conditions
from ..conditioning.start import encode_start
from ..files import check_output
from ..media.pictures import load_picture
from ..media.samples import Samples
from ..media.source import DrivingSource
from ..media.waveform import silence
from ..media.writing import FORMATS, VideoWriter
from ..models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
)
from ..models.config import ModelConfig
from ..motion import AS_DRIVEN, Amplitude, Liveliness
from ..sampling.sampler import Progress, SamplingSettings, Step
from ..vision.coarse_landmarks import CoarseLandmarker
from ..vision.crops import checked_size, squashed_crop
from ..vision.driving import PreparedDriving, prepare_driving
from ..vision.faces import Detector
from ..vision.framing import CropMode
from ..vision.landmarks import Landmarker
from ..vision.paste import paste_back
from ..vision.person_segmenter import Segmenter
from ..vision.portrait import Portrait, segment_reference
from ..vision.still import still_driving
from .checks import check_controls, check_motion, checked_mode, start_source
from .clip import DRIVERS_SOUND, find_clip

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
        segmenter: tells people from background.
    """

    def __init__(
        self,
        config: ModelConfig,
        detector: Detector | None = None,
        landmarker: Landmarker | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        self.config = config
        self.detector = detector
        self.landmarker = landmarker
        self.segmenter = segmenter

    @abstractmethod
    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        """Latents, mask and modulation of the portrait; the seed matters where the posterior is sampled."""

    @abstractmethod
    def encode_latents(self, picture: NDArray[np.uint8]) -> Tensor:
        """Scaled posterior mean of one square picture (size, size, 3), ``(1, channels, h, w)``."""

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
    def encode_audio(self, waveform: NDArray[np.float32], times: Iterator[Fraction]) -> AudioCondition | None:
        """The sound at the frames' times; None where the model hears nothing. See ``conditioning.audio``."""

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
    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of the clip, uint8 (size, size, 3); see ``sampling.decode.decode_frames``."""

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
        settings.validate(self.config)
        return settings

    def segment_reference(
        self, picture: NDArray[np.uint8], *, size: int | None = None, **options: Any
    ) -> Portrait:
        """Look at the portrait; options as in ``vision.portrait.segment_reference``."""
        size = self.checked_size(size)
        return segment_reference(
            picture,
            size,
            detector=self.detector,
            segmenter=self.segmenter,
            antialias=self.config.antialiased_crops,
            framing=self.config.framing,
            **options,
        )

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
            framing=self.config.framing,
            **options,
        )

    def still_driving(
        self,
        portrait: Portrait,
        num_frames: int,
        frame_rate: Fraction,
        liveliness: Liveliness,
        amplitude: Amplitude = AS_DRIVEN,
    ) -> PreparedDriving:
        """A driver made of the portrait, for speech without a video; see ``vision.still``."""
        looker = self.landmarker or (None if self.detector is None else CoarseLandmarker(self.detector))
        landmarks = None if looker is None else looker(portrait.picture)
        sway = amplitude.frames("head_motion", num_frames)
        return still_driving(portrait.picture, landmarks, num_frames, frame_rate, liveliness, sway)

    def condition(
        self,
        portrait: Portrait,
        driving: PreparedDriving,
        seed: int = 42,
        on_chunk: Callable[[int], None] | None = None,
        *,
        more_portraits: Sequence[Portrait] = (),
        strengths: Mapping[str, ControlStrength] | None = None,
        waveform: NDArray[np.float32] | None = None,
        amplitude: Amplitude = AS_DRIVEN,
    ) -> Conditions:
        """Everything the denoiser is told.

        Args:
            portrait: of the person.
            driving: the motion.
            seed: matters where the posterior of the reference is sampled.
            on_chunk: told the driving frames done so far.
            more_portraits: of the same person; the denoiser reads their tokens too.
            strengths: of the ControlNets, by name.
            waveform: what is said, 16 kHz mono; without it a model that hears is given silence.
            amplitude: of speech and expression; that of the head's motion belongs to ``prepare_driving``.
        """
        reference = self.encode_reference(portrait, seed)
        if more_portraits:
            latents = [self.encode_reference(other, seed).latents for other in more_portraits]
            reference = replace(reference, latents=torch.cat([reference.latents, *latents]))
        background = self.encode_background(portrait)
        encoded = self.encode_driving(driving, reference, on_chunk)
        controls = self.encode_hints(driving, strengths or {}, on_chunk)
        if waveform is None:
            waveform = silence(driving.source.duration)
        audio = self.encode_audio(waveform, driving.times())
        conditions = Conditions(reference, background, encoded, audio, controls=controls)
        return scale_conditions(conditions, amplitude)

    def animate(
        self,
        reference: PathLike | NDArray[np.uint8],
        driving: PathLike | DrivingSource | None,
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
        start_video: PathLike | DrivingSource | None = None,
        speech: PathLike | Samples | None = None,
        frame_rate: Fraction = Fraction(25),
        liveliness: Liveliness | None = None,
        amplitude: Amplitude = AS_DRIVEN,
        on_prepare: Callable[[int, int], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
        on_frame: Callable[[int, NDArray[np.uint8]], None] | None = None,
        **driving_options: Any,
    ) -> AnimationReport:
        """One portrait and one driver in, one video out.

        Args:
            reference: picture file or uint8 RGB (H, W, 3).
            driving: driving file, or what ``open_driving`` gave; None where speech alone drives.
            output: video file to write.
            crop, face, mask: see ``vision.portrait.segment_reference``.
            driving_crop: like ``crop``, of the driver; by default the same way, and ``"face"`` where ``crop``
                is a box.
            driving_face: which face of the driver.
            size: side of the square; the model's own by default.
            start, stop: the driving frames to use, as in a slice; without a driver, those of the speech.
            paste: put the result back into the whole picture, at its resolution.
            audio: keep the sound: the speech, or else the driver's.
            overwrite: replace an existing file.
            settings: how to sample; the model's defaults otherwise.
            more_references: other pictures of the same person, cut out in the same way, but by no box.
            strengths: of the ControlNets, by name (``models.networks.CONTROLS``).
            start_video: the motion as another tool made it, at least as long as the clip: sampling starts
                from its noised frames instead of the noised portrait. Only for models that start so.
            speech: sound that moves the lips, from the driver's first frame on: a file, samples, or
                ``DRIVERS_SOUND``. Only for models that hear.
            frame_rate: of a clip that speech alone drives.
            liveliness: how the portrait blinks and sways where speech alone drives; by default as people do.
            amplitude: how much of each source of motion reaches the result.
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
        driver = driving.path if isinstance(driving, DrivingSource) else driving
        given: list[object] = [reference, driver, speech, *more_references]
        mode = checked_mode(self.config, driving_options.pop("mode", None), speech is not None)
        check_controls(self.config, strengths or {}, driving_options.get("best_frame"))
        check_motion(self.config, driving is not None, speech is not None, amplitude)
        paths = (path for path in (*given, start_video) if isinstance(path, (str, os.PathLike)))
        files = [path for path in paths if path != DRIVERS_SOUND]
        check_output(output, FORMATS, overwrite, files)
        picture, *others = (
            one if isinstance(one, np.ndarray) else load_picture(one) for one in (reference, *more_references)
        )
        size = self.checked_size(size)
        clip = find_clip(driving, speech, start, stop, frame_rate)
        first = None if start_video is None else start_source(self.config, start_video, clip.num_frames)
        height, width = picture.shape[:2] if paste else (size, size)
        writer = VideoWriter(
            output,
            width,
            height,
            clip.frame_rate,
            audio_source=clip.sound if audio else None,
            overwrite=overwrite,
            audio_start=clip.sound_start,
            uneven_times=clip.source is not None and clip.source.variable_frame_rate,
        )
        self.check_memory(settings, size, clip.num_frames)

        def prepared_frames(done: int) -> None:
            if on_prepare is not None:
                on_prepare(done, 2 * clip.num_frames)

        portrait = self.segment_reference(picture, size=size, crop=crop, face=face, mask=mask)
        if clip.source is None:
            liveliness = liveliness or Liveliness(seed=settings.seed)
            prepared = self.still_driving(portrait, clip.num_frames, clip.frame_rate, liveliness, amplitude)
        else:
            if driving_crop is None:
                driving_crop = crop if isinstance(crop, str) else "face"
            prepared = self.prepare_driving(
                clip.source,
                size=size,
                crop=driving_crop,
                face=driving_face,
                portrait=portrait,
                mode=mode,
                amplitude=amplitude,
                on_frame=prepared_frames,
                **driving_options,
            )
        other_crop: CropMode = crop if isinstance(crop, str) else "auto"
        more_portraits = [self.segment_reference(other, size=size, crop=other_crop) for other in others]
        conditions = self.condition(
            portrait,
            prepared,
            settings.seed,
            lambda done: prepared_frames(clip.num_frames + done),
            more_portraits=more_portraits,
            strengths=strengths,
            waveform=clip.waveform,
            amplitude=amplitude,
        )
        if first is not None:
            square = squashed_crop((first.height, first.width), size)
            pictures = (square.apply(image).round().astype(np.uint8) for _, _, image in first.frames())
            start_frames = encode_start(self.encode_latents, pictures, clip.num_frames)
            conditions = replace(conditions, start=start_frames)
        latents = self.sample(conditions, settings, on_progress, on_step)
        times = prepared.source.frame_times
        decoding_notes: list[str] = []
        with writer:
            for index, frame in enumerate(self.decode(latents, decoding_notes.append)):
                if paste:
                    frame = paste_back(picture, portrait.crop, frame, portrait.original_foreground)
                moment = times.time(index)
                writer.write(frame, moment, duration=times.time(index + 1) - moment)
                if on_frame is not None:
                    on_frame(index, frame)
        told = [portrait.report, *(other.report for other in more_portraits), prepared.report]
        told += [*decoding_notes, writer.note]
        for source in (clip.source, first):
            told += () if source is None else source.notes
        notes = tuple(note for note in told if note)
        seconds = time.perf_counter() - begin
        return AnimationReport(Path(output), prepared.num_frames, seconds, notes, portrait, prepared)

    def checked_size(self, size: int | None) -> int:
        """The size to use; see ``vision.crops.checked_size``."""
        return checked_size(self.size if size is None else size)
