"""The core's sampler on networks that the host holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import comfy.model_management
from torch import Tensor

from ...megactor_core.animation.checks import check_background, check_controls, check_motion, check_start
from ...megactor_core.conditioning.amplitude import scale_conditions
from ...megactor_core.conditioning.driving import modulate_driving, no_driving_channels
from ...megactor_core.errors import InputError
from ...megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    ControlStrength,
    DrivingFeatures,
    ReferenceCondition,
    StartCondition,
)
from ...megactor_core.motion import AS_DRIVEN, Amplitude
from ...megactor_core.sampling.sampler import Progress, SamplingSettings, Step, sample
from .clip_preview import preview_sheet
from .encoding import encode_silence
from .portrait_model import HostNetworks, PortraitModel
from .progress import NodeProgress, PreviewPace


@dataclass(frozen=True, eq=False)
class ClipParts:
    """Inputs of a sampling node; a model takes what its family can use.

    Attributes:
        reference: the portrait.
        driving: its motion.
        background: its background's tokens, where the model reads any.
        audio: what is said; without it a model that hears is given silence.
        strengths: of the ControlNets, by name.
        amplitude: of expression and speech.
        start: what sampling starts from instead of the portrait.
    """

    reference: ReferenceCondition
    driving: DrivingFeatures
    background: BackgroundCondition | None = None
    audio: AudioCondition | None = None
    strengths: Mapping[str, ControlStrength] = field(default_factory=dict)
    amplitude: Amplitude = AS_DRIVEN
    start: StartCondition | None = None

    @property
    def num_frames(self) -> int:
        return self.driving.num_frames

    def check(self, model: PortraitModel) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: parts that the model cannot use or lacks, or of different sizes or lengths.
        """
        check_background(model.config, self.background is not None)
        check_motion(model.config, True, self.audio is not None, self.amplitude)
        check_controls(model.config, self.strengths)
        portrait_size, driving_size = self.reference.latents.shape[-2:], self.driving.features.shape[-2:]
        if portrait_size != driving_size:
            scale = model.config.latent_space.pixels_per_cell
            raise InputError(
                f"driving frames of {driving_size[1] * scale}x{driving_size[0] * scale} pixels",
                f"the portrait is {portrait_size[1] * scale}x{portrait_size[0] * scale}",
                "Give Segment Reference and Prepare Driving the same size",
            )
        if self.audio is not None and len(self.audio.rows) != self.num_frames:
            raise InputError(
                f"audio of {len(self.audio.rows)} frames",
                f"the driving clip has {self.num_frames}",
                "Give Encode Audio num_frames and frame_rate of Prepare Driving",
            )
        if self.start is not None:
            check_start(model.config, self.start.latents.shape[2], self.num_frames, "start_latent")


def join_conditions(model: PortraitModel, networks: HostNetworks, parts: ClipParts) -> Conditions:
    """All conditions of the clip, on the model's device; ``parts`` have been checked."""
    reference, driving = parts.reference, parts.driving
    encoder = networks.denoiser.driving_encoder
    if encoder is None:
        modulated = no_driving_channels(parts.num_frames, reference)
    else:
        modulation = reference.modulation.to(model.device, model.dtype)
        modulated = modulate_driving(encoder, driving, modulation)
    background = parts.background
    if background is None:
        assert model.context is not None
        background = BackgroundCondition(model.context)
    controls = {
        name: replace(control, use=strength)
        for name, control in driving.controls.items()
        if (strength := parts.strengths.get(name, control.use)).strength > 0
    }
    conditions = Conditions(reference, background, modulated, parts.audio, parts.start, controls)
    return scale_conditions(conditions.to(model.device, model.dtype), parts.amplitude)


def with_silence(model: PortraitModel, parts: ClipParts) -> ClipParts:
    """Parts with the sound that a model which hears is given where nothing is said."""
    if model.audio_encoder is None or parts.audio is not None:
        return parts
    return replace(parts, audio=encode_silence(model, parts.num_frames))


def load_for_sampling(
    model: PortraitModel, reference: ReferenceCondition, num_frames: int, settings: SamplingSettings
) -> HostNetworks:
    """The networks on the device, with room for a window of the clip."""
    _, channels, height, width = reference.latents.shape
    rows = 1 if settings.guidance_scale == 1 else 2
    window = min(settings.context_length, num_frames)
    return model.load(model.denoiser.model.memory_required([rows * window, channels, height, width]))


def sample_clip(model: PortraitModel, parts: ClipParts, settings: SamplingSettings) -> Tensor:
    """Latents of the clip as the host has them: unscaled, ``(frames, channels, h, w)``, float32.

    Raises:
        InputError: conditions that do not go together, settings out of range, or a result that is not finite.
    """
    parts.check(model)
    parts = with_silence(model, parts)
    networks = load_for_sampling(model, parts.reference, parts.num_frames, settings)
    conditions = join_conditions(model, networks, parts)
    progress = SamplingProgress(model)
    latents = sample(
        networks,
        model.config,
        conditions,
        settings,
        on_progress=progress.on_progress,
        on_step=progress.on_step,
    )
    frames = model.denoiser.model.process_latent_out(latents[0].transpose(0, 1))
    return frames.to(comfy.model_management.intermediate_device())


def start_of(model: PortraitModel, latent: Mapping[str, Tensor], num_frames: int) -> StartCondition:
    """LATENT of a video, one per frame, as what sampling of a clip starts from; frames beyond it are cut."""
    scaled = model.denoiser.model.process_latent_in(latent["samples"][:num_frames])
    return StartCondition(scaled.transpose(0, 1)[None])


class SamplingProgress:
    """Moves the node's bar with every window, and shows the clip after steps, as often as it costs little.

    Args:
        model: whose latents are sampled.
    """

    def __init__(self, model: PortraitModel) -> None:
        self._model = model
        self._bar: NodeProgress | None = None
        self._num_windows = 1
        self._pace = PreviewPace()

    def on_progress(self, progress: Progress) -> None:
        """Callback of the core's sampler."""
        if self._bar is None:
            self._bar = NodeProgress(progress.num_steps * progress.num_windows)
            self._num_windows = progress.num_windows
        self._bar.report(progress.step * self._num_windows + progress.window)

    def on_step(self, step: Step) -> None:
        """Callback of the core's sampler."""
        assert self._bar is not None
        preview = self._pace.draw(lambda: preview_sheet(self._model, step.clean))
        self._bar.report((step.index + 1) * self._num_windows, preview)
