"""Animates portraits with the core's own networks: load a model, then look, condition, sample, deliver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .animation.animator import AnimationReport, PathLike, PortraitAnimator
from .animation.checks import check_base
from .animation.memory import check_memory
from .conditioning.audio import encode_audio
from .conditioning.background import encode_context
from .conditioning.control import encode_hints
from .conditioning.driving import encode_driving, no_driving_channels
from .conditioning.posterior import encode_posterior
from .conditioning.reference import encode_reference
from .errors import InputError
from .models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
)
from .sampling.decode import decode_latents, to_uint8
from .sampling.sampler import Progress, SamplingSettings, Step, sample
from .vision.crops import checked_size
from .vision.driving import PreparedDriving
from .vision.faces import Detector, FaceDetector
from .vision.landmarks import Landmarker
from .vision.person_segmenter import Segmenter, find_segmenter
from .vision.portrait import Portrait
from .weights.base_model import swap_base
from .weights.catalogue import find_known
from .weights.folders import models_folder
from .weights.loading import LoadedModel, load_model
from .weights.lora import LoraReport, check_scale, merge_lora
from .weights.tensor_files import open_tensor_file

__all__ = ["AnimationReport", "Animator", "checked_size", "default_dtype", "find_detector", "usable_device"]


class Animator(PortraitAnimator):
    """Animates portraits with a loaded model; every step can be called on its own.

    >>> animator = Animator.from_pretrained("demo")
    >>> animator.animate("portrait.png", "driving.mp4", "result.mp4", crop="whole")

    Args:
        model: config and networks.
        detector, landmarker: find faces and their landmarks.
        loras: what was merged into the denoiser.
        segmenter: tells people from background.
    """

    def __init__(
        self,
        model: LoadedModel,
        detector: Detector | None = None,
        landmarker: Landmarker | None = None,
        loras: tuple[LoraReport, ...] = (),
        segmenter: Segmenter | None = None,
    ) -> None:
        super().__init__(model.config, detector, landmarker, segmenter)
        self.model = model
        self.loras = loras

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
        person_segmenter: PathLike | Segmenter | None = None,
        base: PathLike | None = None,
        loras: Sequence[tuple[PathLike, float]] = (),
    ) -> Animator:
        """Load a model and, where their files are at hand, the face detector and the person segmenter.

        Args:
            source: ``"demo"``, ``"megactor"`` or a model folder.
            device: the accelerator where there is one, else the CPU.
            dtype: float16 on an accelerator, else float32.
            folder: the models folder, see ``weights.folders``.
            face_detector: YuNet's ONNX file or a detector; by default the file in the models folder.
            landmarker: for the contour driving mode.
            person_segmenter: MediaPipe's TFLite file or a segmenter; by default the one in the models folder.
            base: another SD1.5 checkpoint for a model whose spatial weights are SD1.5's, see ``swap_base``.
            loras: files and scales, merged in this order, see ``merge_lora``.

        Raises:
            InputError: from ``load_model``, ``swap_base``, ``merge_lora``, ``FaceDetector`` or
                ``PersonSegmenter``.
        """
        device = usable_device(device)
        dtype = dtype or default_dtype(device)
        for path, scale in loras:  # before minutes go into the model's own weights
            check_scale(scale)
            open_tensor_file(Path(path))
        if base is not None:
            open_tensor_file(Path(base))
        model = load_model(source, device=device, dtype=dtype, models_folder=folder)
        if base is not None:
            check_base(model.config)
            swap_base(model.networks.denoiser, Path(base))
        reports = tuple(merge_lora(model.networks.denoiser, Path(path), scale) for path, scale in loras)
        for _, network in model.networks.items():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if face_detector is None or isinstance(face_detector, (str, os.PathLike)):
            face_detector = find_detector(face_detector, folder)
        if person_segmenter is None or isinstance(person_segmenter, (str, os.PathLike)):
            person_segmenter = find_segmenter(person_segmenter, folder)
        return cls(model, face_detector, landmarker, reports, person_segmenter)

    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        sampled = self.config.reference_posterior == "sample"
        return encode_reference(
            self.model.networks, portrait.pixels, portrait.foreground, seed=seed if sampled else None
        )

    def encode_latents(self, picture: NDArray[np.uint8]) -> Tensor:
        vae = self.model.networks.vae
        return self.config.latent_space.scaled(encode_posterior(vae, picture)[0])

    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        return encode_context(self.model.networks, portrait.picture, portrait.foreground)

    def encode_driving(
        self,
        driving: PreparedDriving,
        reference: ReferenceCondition,
        on_chunk: Callable[[int], None] | None = None,
    ) -> DrivingCondition:
        denoiser = self.model.networks.denoiser
        if not denoiser.driving_channels:
            return no_driving_channels(driving.num_frames, reference)
        encoder = denoiser.condition_input_layer
        return encode_driving(encoder, driving.conditions(), reference.modulation, on_chunk=on_chunk)

    def encode_hints(
        self,
        driving: PreparedDriving,
        strengths: Mapping[str, ControlStrength],
        on_chunk: Callable[[int], None] | None = None,
    ) -> dict[str, ControlCondition]:
        networks = self.model.networks.controls
        if not networks:
            return {}
        denoiser = self.model.networks.denoiser
        return encode_hints(
            networks,
            driving.pictures(),
            driving.num_frames,
            strengths,
            device=denoiser.device,
            dtype=denoiser.compute_dtype,
            on_chunk=on_chunk,
        )

    def encode_audio(self, waveform: NDArray[np.float32], times: Iterator[Fraction]) -> AudioCondition | None:
        encoder = self.model.networks.audio_encoder
        return None if encoder is None else encode_audio(encoder, waveform, times)

    def sample(
        self,
        conditions: Conditions,
        settings: SamplingSettings,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Tensor:
        return sample(
            self.model.networks, self.config, conditions, settings, on_progress=on_progress, on_step=on_step
        )

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        return (to_uint8(frame) for frame in decode_latents(self.model.networks.vae, latents, on_note))

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        denoiser = self.model.networks.denoiser
        check_memory(
            self.config,
            settings,
            size,
            num_frames,
            device=denoiser.device,
            dtype=denoiser.compute_dtype,
            weights_loaded=True,
        )


def usable_device(device: torch.device | str | None = None) -> torch.device:
    """The device asked for; without one the accelerator where there is one, else the CPU.

    Raises:
        InputError: this machine or this PyTorch does not have it, or it holds no numbers (meta).
    """
    if device is None:
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        tried = torch.zeros(1, device=device)
        tried.item()
        return tried.device
    except (RuntimeError, AssertionError, ImportError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
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
