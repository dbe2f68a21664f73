"""One object that joins the five steps: load, look, condition, sample, deliver."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .conditioning.background import encode_background
from .conditioning.conditions import Conditions, DrivingCondition, ReferenceCondition
from .conditioning.driving import encode_driving
from .conditioning.reference import encode_reference
from .errors import InputError
from .media.outputs import check_output
from .media.pictures import load_picture
from .media.reading import open_driving
from .media.source import DrivingSource
from .media.writing import FORMATS, VideoWriter
from .memory import check_memory
from .sampling.decode import decode_latents, to_uint8
from .sampling.sampler import Progress, SamplingSettings, sample
from .vision.crops import checked_size
from .vision.driving import PreparedDriving, prepare_driving
from .vision.faces import Detector, FaceDetector
from .vision.landmarks import Landmarker
from .vision.paste import paste_back
from .vision.portrait import CropMode, Portrait, segment_reference
from .weights.catalogue import find_known
from .weights.folders import models_folder
from .weights.loading import LoadedModel, load_model

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


class Animator:
    """Animates portraits with a loaded model; every step can be called on its own.

    >>> animator = Animator.from_pretrained("demo")
    >>> animator.animate("portrait.png", "driving.mp4", "result.mp4", crop="whole")
    """

    def __init__(
        self, model: LoadedModel, detector: Detector | None = None, landmarker: Landmarker | None = None
    ) -> None:
        self.model = model
        self.detector = detector
        self.landmarker = landmarker

    @classmethod
    def from_pretrained(
        cls,
        source: PathLike = "demo",
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        folder: PathLike | None = None,
        face_detector: PathLike | Detector | None = None,
        landmarker: Landmarker | None = None,
    ) -> Animator:
        """Load a model and, where its file is at hand, the face detector.

        Args:
            source: ``"demo"``, ``"megactor"`` or a model folder.
            device: the accelerator where there is one, else the CPU.
            dtype: float16 on an accelerator, else float32.
            folder: the models folder, see ``weights.folders``.
            face_detector: YuNet's ONNX file or a detector; by default the file in the models folder.
            landmarker: for the contour driving mode.

        Raises:
            InputError: from ``load_model`` or ``FaceDetector``.
        """
        device = usable_device(device)
        dtype = dtype or default_dtype(device)
        model = load_model(source, device=device, dtype=dtype, models_folder=folder)
        for _, network in model.networks.items():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if face_detector is None or isinstance(face_detector, (str, os.PathLike)):
            face_detector = find_detector(face_detector, folder)
        return cls(model, face_detector, landmarker)

    @property
    def size(self) -> int:
        """Side of the square the model was made for, in pixels."""
        return self.model.config.defaults.size

    def settings(self, **changes: Any) -> SamplingSettings:
        """The model's sampling defaults with changes; see ``SamplingSettings``."""
        settings = SamplingSettings.from_defaults(self.model.config.defaults, **changes)
        settings.validate(self.model.config.denoiser)
        return settings

    def segment_reference(
        self, picture: NDArray[np.uint8], *, size: int | None = None, **options: Any
    ) -> Portrait:
        """Look at the portrait; options as in ``vision.portrait.segment_reference``."""
        size = self.checked_size(size)
        antialias = self.model.config.antialiased_crops
        return segment_reference(picture, size, detector=self.detector, antialias=antialias, **options)

    def prepare_driving(
        self, source: DrivingSource, *, size: int | None = None, **options: Any
    ) -> PreparedDriving:
        """Look at the driver; options as in ``vision.driving.prepare_driving``."""
        size = self.checked_size(size)
        return prepare_driving(
            source,
            size,
            detector=self.detector,
            landmarker=self.landmarker,
            antialias=self.model.config.antialiased_crops,
            **options,
        )

    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        """Latents, mask and modulation of the portrait."""
        sampled = self.model.config.reference_posterior == "sample"
        return encode_reference(
            self.model.networks, portrait.pixels, portrait.foreground, seed=seed if sampled else None
        )

    def encode_driving(self, driving: PreparedDriving, reference: ReferenceCondition) -> DrivingCondition:
        """Features of the driving frames, read in chunks."""
        encoder = self.model.networks.denoiser.condition_input_layer
        return encode_driving(encoder, driving.conditions(), reference.modulation)

    def condition(self, portrait: Portrait, driving: PreparedDriving, seed: int = 42) -> Conditions:
        """Everything the denoiser is told."""
        reference = self.encode_reference(portrait, seed)
        background = encode_background(
            self.model.networks.image_encoder, portrait.picture, portrait.foreground
        )
        return Conditions(reference, background, self.encode_driving(driving, reference))

    def sample(
        self,
        conditions: Conditions,
        settings: SamplingSettings,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Tensor:
        """Latents of the clip, ``(1, channels, frames, h, w)``."""
        return sample(self.model.networks, self.model.config, conditions, settings, on_progress=on_progress)

    def decode(self, latents: Tensor) -> Iterator[NDArray[np.uint8]]:
        """Frames of the clip, uint8 (size, size, 3), decoded a few at a time."""
        return (to_uint8(frame) for frame in decode_latents(self.model.networks.vae, latents))

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
        on_progress: Callable[[Progress], None] | None = None,
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
            on_progress: called before every window; raise in it to cancel, nothing is left behind.
            on_frame: called with the number and the picture of every frame as it is written.
            driving_options: mode, lost, smoothing of ``vision.driving.prepare_driving``.

        Raises:
            InputError: anything given that cannot be used.
        """
        begin = time.perf_counter()
        settings = settings or self.settings()
        given = [reference, driving.path if isinstance(driving, DrivingSource) else driving]
        files = [path for path in given if isinstance(path, (str, os.PathLike))]
        check_output(output, FORMATS, overwrite, files)
        picture = reference if isinstance(reference, np.ndarray) else load_picture(reference)
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
        portrait = self.segment_reference(picture, size=size, crop=crop, face=face, mask=mask)
        if driving_crop is None:
            driving_crop = crop if isinstance(crop, str) else "face"
        prepared = self.prepare_driving(
            source,
            size=size,
            crop=driving_crop,
            face=driving_face,
            portrait=portrait,
            **driving_options,
        )
        conditions = self.condition(portrait, prepared, settings.seed)
        latents = self.sample(conditions, settings, on_progress)
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

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        """Raises InputError where a clip needs more memory than is free; see ``memory.check_memory``."""
        weight = self.model.networks.denoiser.conv_in.weight
        check_memory(
            self.model.config,
            settings,
            size,
            num_frames,
            device=weight.device,
            dtype=weight.dtype,
            weights_loaded=True,
        )

    def checked_size(self, size: int | None) -> int:
        """The size to use; see ``checked_size``."""
        return checked_size(self.size if size is None else size)


def usable_device(device: torch.device | str | None = None) -> torch.device:
    """The device asked for; without one the accelerator where there is one, else the CPU.

    Raises:
        InputError: this machine or this PyTorch does not have it.
    """
    if device is None:
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        problem = f"cannot be used ({reason})"
        raise InputError(f"device {device}", problem, "Use cpu, or cuda on a GPU") from error


def default_dtype(device: torch.device) -> torch.dtype:
    """float16 on an accelerator, else float32."""
    return torch.float32 if device.type == "cpu" else torch.float16


def find_detector(path: PathLike | None, folder: PathLike | None = None) -> FaceDetector | None:
    """The face detector at a path, or from the models folder, or None where neither is there.

    Raises:
        InputError: a path was given and is no detector.
    """
    if path is not None:
        return FaceDetector(Path(path))
    known = models_folder(folder) / find_known("face-detector")[0].file
    return FaceDetector(known) if known.is_file() else None
