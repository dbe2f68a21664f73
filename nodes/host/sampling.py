"""The core's sampler on networks that the host holds."""

from __future__ import annotations

import comfy.model_management
from torch import Tensor

from ...megactor_core.conditioning.conditions import (
    BackgroundCondition,
    Conditions,
    DrivingFeatures,
    ReferenceCondition,
)
from ...megactor_core.conditioning.driving import modulate_driving
from ...megactor_core.errors import InputError
from ...megactor_core.sampling.sampler import Progress, SamplingSettings, Step, sample
from .clip_preview import preview_sheet
from .portrait_model import HostNetworks, PortraitModel
from .progress import NodeProgress, PreviewPace


def join_conditions(
    model: PortraitModel,
    networks: HostNetworks,
    reference: ReferenceCondition,
    background: BackgroundCondition,
    driving: DrivingFeatures,
) -> Conditions:
    """Everything the denoiser is told, on the model's device.

    Raises:
        InputError: portrait and driving frames were encoded at different sizes.
    """
    portrait_size, driving_size = reference.latents.shape[-2:], driving.features.shape[-2:]
    if portrait_size != driving_size:
        scale = model.config.vae_scale_factor
        raise InputError(
            f"driving frames of {driving_size[1] * scale}x{driving_size[0] * scale} pixels",
            f"the portrait is {portrait_size[1] * scale}x{portrait_size[0] * scale}",
            "Give Segment Reference and Prepare Driving the same size",
        )
    encoder = networks.denoiser.condition_input_layer
    modulation = reference.modulation.to(model.device, model.dtype)
    modulated = modulate_driving(encoder, driving, modulation)
    return Conditions(reference, background, modulated).to(model.device, model.dtype)


def load_for_sampling(
    model: PortraitModel, reference: ReferenceCondition, num_frames: int, settings: SamplingSettings
) -> HostNetworks:
    """The networks on the device, with room for a window of the clip."""
    _, channels, height, width = reference.latents.shape
    rows = 1 if settings.guidance_scale == 1 else 2
    window = min(settings.context_length, num_frames)
    return model.load(model.denoiser.model.memory_required([rows * window, channels, height, width]))


def sample_clip(
    model: PortraitModel,
    reference: ReferenceCondition,
    background: BackgroundCondition,
    driving: DrivingFeatures,
    settings: SamplingSettings,
) -> Tensor:
    """Latents of the clip as the host has them: unscaled, ``(frames, channels, h, w)``, float32.

    Raises:
        InputError: conditions that do not go together, settings out of range, or a result that is not finite.
    """
    networks = load_for_sampling(model, reference, driving.num_frames, settings)
    conditions = join_conditions(model, networks, reference, background, driving)
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
