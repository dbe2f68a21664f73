"""The core's animation on networks that the host holds, from the host's values to a video file."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import comfy.model_management
import folder_paths
import numpy as np
import torch
from comfy.sd import VAE
from comfy_api.latest import Input
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...megactor_core.animation.animator import PortraitAnimator
from ...megactor_core.animation.checks import check_controls, check_motion, checked_mode
from ...megactor_core.animation.clip import find_clip
from ...megactor_core.conditioning.control import encode_hints
from ...megactor_core.conditioning.driving import encode_driving, no_driving_channels
from ...megactor_core.media.timing import exact_frame_rate
from ...megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    ControlCondition,
    ControlStrength,
    DrivingCondition,
    ReferenceCondition,
)
from ...megactor_core.motion import Liveliness, Motion
from ...megactor_core.sampling.decode import decode_frames, to_uint8
from ...megactor_core.sampling.sampler import Progress, SamplingSettings, Step, sample
from ...megactor_core.vision.driving import PreparedDriving
from ...megactor_core.vision.faces import Detector
from ...megactor_core.vision.foreground import background_image
from ...megactor_core.vision.modes.registry import MODES
from ...megactor_core.vision.person_segmenter import Segmenter
from ...megactor_core.vision.portrait import Portrait, all_faces
from ...megactor_core.vision.tracking import LostPolicy
from .clip_preview import preview_sheet
from .encoding import (
    encode_background,
    encode_reference,
    encode_waveform,
    load_controls,
    load_driving_encoder,
)
from .faces import check_faces, check_landmarks, find_detector
from .images import only_picture, to_image, to_mask
from .look_portrait import Crop
from .people import find_segmenter, person_mask
from .portrait_model import PortraitModel
from .progress import NodeProgress, PreviewPace
from .sampling import load_for_sampling
from .vae import encode_posterior, in_float32
from .video import driving_source, samples_of

_PARTS = 1000
# Where in the bar a phase begins; on an ordinary machine most of the time goes into sampling.
_SAMPLING_BEGINS, _WRITING_BEGINS = 100, 850
_PREVIEW_PAUSE = 1.0
"""Seconds between two pictures while frames are written."""


def animate_portrait(
    model: PortraitModel,
    portrait: Tensor,
    driving: Input.Video | None,
    audio: Input.Audio | None,
    settings: SamplingSettings,
    *,
    motion: Motion,
    strengths: Mapping[str, ControlStrength],
    frame_rate: float,
    crop: Crop,
    paste: bool,
    mask: Tensor | None,
    size: int,
    lost_face: LostPolicy,
    start_frame: int,
    max_frames: int,
) -> Path:
    """Animate a portrait; memory does not grow with the driver's length but by its latents.

    Args:
        portrait: IMAGE of one picture.
        driving: read as a stream where it is a file; None where speech drives alone.
        audio: speech that moves the lips, or None.
        motion: amplitudes.
        strengths: of the ControlNets, by name.
        frame_rate: frames per second where speech drives alone.
        crop: of portrait and driver.
        paste: put the result back into the whole picture.
        mask: MASK of the whole picture, 1 = person, or None.
        size: side of the square in pixels; 0 for the model's own.
        lost_face: what driving frames without the face get.
        start_frame, max_frames: the driving frames to use; 0 frames are all.

    Returns:
        An MP4 file in the host's temporary folder, with the driver's frame rate and sound. When anything goes
        wrong or the user cancels, none is left.

    Raises:
        InputError: anything given that cannot be used.
        InterruptProcessingException: the user has cancelled.
    """
    picture = only_picture(portrait, "portrait")
    detector = find_detector()
    check_faces(crop, None, detector)
    check_motion(model.config, driving is not None, audio is not None, motion.amplitude)
    check_controls(model.config, strengths)
    if driving is not None:
        check_landmarks(MODES[checked_mode(model.config, speech=audio is not None)], None, detector)
    source = None if driving is None else driving_source(driving)
    speech = None if audio is None else samples_of(audio)
    rate = exact_frame_rate(frame_rate)
    stop = start_frame + max_frames if max_frames else None
    faces = () if mask is None else all_faces(picture, detector)
    person = person_mask(mask, picture.shape[:2], faces, "largest")
    progress = AnimationProgress(model, find_clip(source, speech, start_frame, stop, rate).num_frames)
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    report = HostAnimator(model, detector, find_segmenter()).animate(
        picture,
        source,
        folder / f"megactor_{secrets.token_hex(8)}.mp4",
        crop=crop,
        mask=person,
        size=size or None,
        paste=paste,
        settings=settings,
        start=start_frame,
        stop=stop,
        speech=speech,
        frame_rate=rate,
        liveliness=Liveliness(motion.blink, motion.sway, settings.seed),
        amplitude=motion.amplitude,
        strengths=strengths,
        lost=lost_face,
        on_prepare=progress.on_prepare,
        on_progress=progress.on_progress,
        on_step=progress.on_step,
        on_frame=progress.on_frame,
    )
    for note in report.notes:
        logging.info("Animate Portrait: %s", note)
    return report.output


class HostAnimator(PortraitAnimator):
    """Animates portraits with networks that the host moves to where they compute.

    Args:
        model: from Load MegActor Model.
        detector: finds faces.
        segmenter: tells people from background.
    """

    def __init__(
        self, model: PortraitModel, detector: Detector | None = None, segmenter: Segmenter | None = None
    ) -> None:
        super().__init__(model.config, detector, segmenter=segmenter)
        self.model = model

    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        pixels, foreground = to_image(portrait.pixels), to_mask(portrait.foreground)
        return encode_reference(self.model, pixels, foreground, seed, self.model.vae)

    def encode_latents(self, picture: NDArray[np.uint8]) -> Tensor:
        return encode_posterior(self.model.vae, picture, self.config.latent_space)[0]

    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        if self.model.context is not None:
            return BackgroundCondition(self.model.context)
        assert self.model.clip_vision is not None
        background = to_image(background_image(portrait.picture, portrait.foreground))
        return encode_background(self.model, background, self.model.clip_vision)

    def encode_driving(
        self,
        driving: PreparedDriving,
        reference: ReferenceCondition,
        on_chunk: Callable[[int], None] | None = None,
    ) -> DrivingCondition:
        if self.config.driving_encoder is None:
            return no_driving_channels(driving.num_frames, reference)
        size = driving.crop.size
        encoder = load_driving_encoder(self.model, size, size)
        modulation = reference.modulation.to(self.model.device, self.model.dtype)
        return encode_driving(encoder, driving.conditions(), modulation, on_chunk=on_chunk)

    def encode_hints(
        self,
        driving: PreparedDriving,
        strengths: Mapping[str, ControlStrength],
        on_chunk: Callable[[int], None] | None = None,
    ) -> dict[str, ControlCondition]:
        if self.config.control_network is None:
            return {}
        size = driving.crop.size
        return encode_hints(
            load_controls(self.model, size, size),
            driving.pictures(),
            driving.num_frames,
            strengths,
            device=self.model.device,
            dtype=self.model.dtype,
            on_chunk=on_chunk,
        )

    def encode_audio(self, waveform: NDArray[np.float32], times: Iterator[Fraction]) -> AudioCondition | None:
        return None if self.model.audio_encoder is None else encode_waveform(self.model, waveform, times)

    def sample(
        self,
        conditions: Conditions,
        settings: SamplingSettings,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Tensor:
        num_frames = conditions.driving.num_frames
        networks = load_for_sampling(self.model, conditions.reference, num_frames, settings)
        conditions = conditions.to(self.model.device, self.model.dtype)
        return sample(networks, self.config, conditions, settings, on_progress=on_progress, on_step=on_step)

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        vae = self.model.vae
        frames = self.config.latent_space.unscaled(latents[0].transpose(0, 1))
        pictures = decode_frames(
            lambda chunk, exact: decode_chunk(in_float32(vae) if exact else vae, chunk), frames, on_note
        )
        return (to_uint8(picture) for picture in pictures)

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        # The host makes room, and moves to its own device what does not fit.
        pass


def decode_chunk(vae: VAE, latents: Tensor) -> Tensor:
    """Pictures ``(n, H, W, 3)`` in 0..1 of unscaled latents ``(n, c, h, w)``.

    Raises:
        torch.OutOfMemoryError: more than one frame, and not enough memory. A single frame that does not fit
            the host decodes in tiles.
    """
    if len(latents) == 1:
        return vae.decode(latents)
    memory = len(latents) * vae.memory_used_decode(latents.shape, vae.vae_dtype)
    try:
        comfy.model_management.load_models_gpu([vae.patcher], memory_required=memory)
        pictures = vae.first_stage_model.decode(latents.to(vae.device, vae.vae_dtype))
    except Exception as error:
        comfy.model_management.raise_non_oom(error)
        raise torch.OutOfMemoryError(str(error)) from error
    return vae.process_output(pictures.float()).movedim(1, -1)


class AnimationProgress:
    """One bar over all phases, with pictures of the clip.

    Args:
        model: whose latents are sampled.
        num_frames: of the clip.
    """

    def __init__(self, model: PortraitModel, num_frames: int) -> None:
        self._model = model
        self._num_frames = num_frames
        self._bar = NodeProgress(_PARTS)
        self._steps, self._frames = PreviewPace(), PreviewPace(_PREVIEW_PAUSE)

    def on_prepare(self, done: int, total: int) -> None:
        """Callback of ``PortraitAnimator.animate``."""
        self._bar.report(_SAMPLING_BEGINS * done // total)

    def on_progress(self, progress: Progress) -> None:
        """Callback of ``PortraitAnimator.animate``."""
        self._bar.report(
            self._sampled(progress.step + progress.window / progress.num_windows, progress.num_steps)
        )

    def on_step(self, step: Step) -> None:
        """Callback of ``PortraitAnimator.animate``."""
        preview = self._steps.draw(lambda: preview_sheet(self._model, step.clean))
        self._bar.report(self._sampled(step.index + 1, step.num_steps), preview)

    def on_frame(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Callback of ``PortraitAnimator.animate``."""
        written = (_PARTS - _WRITING_BEGINS) * (index + 1) // self._num_frames
        self._bar.report(_WRITING_BEGINS + written, self._frames.draw(lambda: Image.fromarray(frame)))

    @staticmethod
    def _sampled(steps: float, num_steps: int) -> int:
        return round(_SAMPLING_BEGINS + (_WRITING_BEGINS - _SAMPLING_BEGINS) * steps / num_steps)
