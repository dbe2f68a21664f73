"""The core's animation on networks that the host holds, from the host's values to a video file."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management
import folder_paths
import numpy as np
import torch
from comfy.sd import VAE
from comfy_api.latest import Input
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...megactor_core.animation.animator import Callbacks, PortraitAnimator
from ...megactor_core.animation.inputs import open_inputs
from ...megactor_core.animation.options import AnimationOptions
from ...megactor_core.animation.plan import make_plan
from ...megactor_core.media.timing import exact_frame_rate
from ...megactor_core.models.conditions import BackgroundCondition, ReferenceCondition
from ...megactor_core.motion import Liveliness, Motion
from ...megactor_core.sampling.decode import decode_frames, to_uint8
from ...megactor_core.sampling.sampler import Progress, SamplingSettings, Step
from ...megactor_core.vision.faces import Detector
from ...megactor_core.vision.foreground import background_image
from ...megactor_core.vision.modes.registry import MODES
from ...megactor_core.vision.person_segmenter import Segmenter
from ...megactor_core.vision.portrait import Portrait, all_faces
from .clip_preview import preview_sheet
from .encoding import driving_memory, encode_background, load_controls
from .faces import check_faces, check_landmarks, find_detector
from .images import only_picture, to_image, to_pixels
from .people import find_segmenter, person_mask
from .portrait_model import HostNetworks, PortraitModel
from .progress import NodeProgress, PreviewPace
from .sampling import load_for_sampling
from .vae import encode_posterior, in_float32
from .video import driving_source, samples_of

if TYPE_CHECKING:
    from ...megactor_core.models.audio_encoder import SpeechEncoder
    from ...megactor_core.models.denoiser import Denoiser, HintReader

_PARTS = 1000
# Where in the bar a phase begins; on an ordinary machine most of the time goes into sampling.
_SAMPLING_BEGINS, _WRITING_BEGINS = 100, 850
_PREVIEW_PAUSE = 1.0
"""Seconds between two pictures while frames are written."""


def animate_portrait(
    model: PortraitModel,
    portrait: Tensor,
    *,
    driving: Input.Video | None,
    audio: Input.Audio | None,
    mask: Tensor | None,
    motion: Motion,
    options: AnimationOptions,
) -> Path:
    """Animate a portrait; memory does not grow with the driver's length but by its latents.

    Args:
        portrait: IMAGE of one picture.
        driving: read as a stream where it is a file; None where speech drives alone.
        audio: speech that moves the lips, or None.
        mask: MASK of the whole picture, 1 = person, or None.
        motion: amplitudes.
        options: what the widgets say, and the strengths of the ControlNets.

    Returns:
        An MP4 file in the host's temporary folder, with the driver's frame rate and sound. When anything goes
        wrong or the user cancels, none is left.

    Raises:
        InputError: anything given that cannot be used.
        InterruptProcessingException: the user has cancelled.
    """
    picture = only_picture(portrait, "portrait")
    detector = find_detector()
    check_faces(options.crops.crop, None, detector)
    faces = () if mask is None else all_faces(picture, detector)
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "reference": picture,
        "driving": None if driving is None else driving_source(driving),
        "output": folder / f"megactor_{secrets.token_hex(8)}.mp4",
    }
    sound = {
        "speech": None if audio is None else samples_of(audio),
        "frame_rate": exact_frame_rate(options.motion.frame_rate),
    }
    options = replace(
        options,
        files=options.files.model_copy(update=files),
        crops=options.crops.model_copy(
            update={"mask": person_mask(mask, picture.shape[:2], faces, "largest")}
        ),
        motion=options.motion.model_copy(update=sound),
        amplitude=motion.amplitude,
        liveliness=Liveliness(motion.blink, motion.sway, options.sampling.seed),
    )
    animator = HostAnimator(model, detector, find_segmenter())
    plan = make_plan(model.config, open_inputs(options), options, animator.check_memory)
    if driving is not None:
        check_landmarks(MODES[plan.mode], None, detector)
    progress = AnimationProgress(model, plan.clip.num_frames)
    report = animator.run(plan, progress.callbacks)
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
        super().__init__(HostBackend(model), detector=detector, segmenter=segmenter)

    def segment_reference(
        self, picture: NDArray[np.uint8], *, size: int | None = None, **options: Any
    ) -> Portrait:
        portrait = super().segment_reference(picture, size=size, **options)
        # as an IMAGE holds them, so that the nodes one by one give the same clip
        return replace(portrait, pixels=to_pixels(to_image(portrait.pixels)))


class HostBackend:
    """A model's networks in the host's hands, see ``animation.backend.Backend``."""

    def __init__(self, model: PortraitModel) -> None:
        self.model = model
        self.config = model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def encode_picture(
        self, picture: NDArray[np.floating] | NDArray[np.uint8], seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        return encode_posterior(self.model.vae, picture, self.config.latent_space, seed)

    def encode_background(self, portrait: Portrait) -> BackgroundCondition:
        if self.model.context is not None:
            return BackgroundCondition(self.model.context)
        assert self.model.clip_vision is not None
        background = to_image(background_image(portrait.picture, portrait.foreground))
        return encode_background(self.model, background, self.model.clip_vision)

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        vae = self.model.vae
        frames = self.config.latent_space.unscaled(latents[0].transpose(0, 1))
        pictures = decode_frames(
            lambda chunk, exact: decode_chunk(in_float32(vae) if exact else vae, chunk), frames, on_note
        )
        return (to_uint8(picture) for picture in pictures)

    def denoiser(self, size: int = 0) -> Denoiser:
        return self.model.load(driving_memory(self.model, size, size)).denoiser

    def controls(self, size: int) -> Mapping[str, HintReader]:
        return load_controls(self.model, size, size)

    def audio_encoder(self) -> SpeechEncoder | None:
        return None if self.model.audio_encoder is None else self.model.load_audio_encoder()

    def sampling_networks(
        self, reference: ReferenceCondition, num_frames: int, settings: SamplingSettings
    ) -> HostNetworks:
        return load_for_sampling(self.model, reference, num_frames, settings)

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

    @property
    def callbacks(self) -> Callbacks:
        """For ``PortraitAnimator.run``."""
        return Callbacks(self._prepared, self._sampling, self._stepped, self._written)

    def _prepared(self, done: int, total: int) -> None:
        self._bar.report(_SAMPLING_BEGINS * done // total)

    def _sampling(self, progress: Progress) -> None:
        self._bar.report(
            self._sampled(progress.step + progress.window / progress.num_windows, progress.num_steps)
        )

    def _stepped(self, step: Step) -> None:
        preview = self._steps.draw(lambda: preview_sheet(self._model, step.clean))
        self._bar.report(self._sampled(step.index + 1, step.num_steps), preview)

    def _written(self, index: int, frame: NDArray[np.uint8]) -> None:
        written = (_PARTS - _WRITING_BEGINS) * (index + 1) // self._num_frames
        self._bar.report(_WRITING_BEGINS + written, self._frames.draw(lambda: Image.fromarray(frame)))

    @staticmethod
    def _sampled(steps: float, num_steps: int) -> int:
        return round(_SAMPLING_BEGINS + (_WRITING_BEGINS - _SAMPLING_BEGINS) * steps / num_steps)
