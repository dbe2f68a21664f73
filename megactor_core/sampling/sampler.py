"""The sampling loop: from start noise to the latents of a clip."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from .. import limits
from ..errors import InputError
from ..models.conditions import Conditions
from ..models.config import ModelConfig, SamplingDefaults
from ..models.denoiser import Denoiser, HintReader, ReferenceWriter
from ..precision import all_finite, not_finite
from ..seeds import frame_generator
from .clip_denoiser import ClipDenoiser
from .noise import start_noise, window_offset
from .schedule import FEW_STEPS, blend_start, build_scheduler, schedule_of, set_timesteps
from .windows import WindowGrid, WindowWeights, circular_windows, context_windows, shifted_windows

CHECK_RESULT = (
    "Leave out LoRAs, use the model's own guidance, strengths and amplitudes, or check the weights "
    "(python -m megactor_core weights verify)"
)
"""What to do where latents are not finite in float32."""


@dataclass(frozen=True)
class SamplingSettings:
    """Settings of sampling; ``from_defaults`` starts from what suits a model.

    Attributes:
        num_inference_steps: 1 to 1000; a scheduler may have fewer, see ``schedule.set_timesteps``.
        guidance_scale: 0 to 100; 1 evaluates the conditional row only.
        scheduler: ``ddim``, ``euler``, ``dpm++2m``, ``unipc``, ``lcm`` or ``tcd``.
        seed: 0 to 2^63 - 1.
        context_length, context_overlap: frames of a window, frames shared by neighbours.
        closed_loop: windows wrap around the end of the clip (MegActor); otherwise the last one ends with it.
            Only a fixed grid can be open.
        window_grid: where the windows of a step begin, see ``SamplingDefaults``.
        window_weights: ``flat`` (MegActor) or ``pyramid``.
        shared_noise: share of the start noise's variance common to all frames, 0..1.
        noise_scale: size of the start noise, 0..1; 1 is the schedule's own, less gives softer frames.
        reference_strength: 0 to 1.5, see ``Conditions``.
    """

    num_inference_steps: int = 25
    guidance_scale: float = 4.5
    scheduler: str = "ddim"
    seed: int = 42
    context_length: int = 16
    context_overlap: int = 8
    closed_loop: bool = True
    window_grid: WindowGrid = "fixed"
    window_weights: WindowWeights = "flat"
    shared_noise: float = 0.0
    noise_scale: float = 1.0
    reference_strength: float = 1.0

    @classmethod
    def from_defaults(cls, defaults: SamplingDefaults, **changes: object) -> SamplingSettings:
        """The model's defaults with the user's changes."""
        values: dict = {**dataclasses.asdict(defaults), **changes}
        del values["size"]
        return cls(**values)

    def validate(self, config: ModelConfig) -> None:
        """Raises InputError for values no model or this model cannot work with."""
        denoiser, steps = config.denoiser, self.num_inference_steps
        if not 1 <= steps <= limits.STEPS:
            raise InputError(
                f"steps {steps}", f"must be at least 1, and {limits.STEPS} at most", "use 10 to 30"
            )
        if not 0 <= self.guidance_scale <= limits.GUIDANCE:
            problem = f"must be a finite number from 0 to {limits.GUIDANCE:g}"
            raise InputError(f"guidance {self.guidance_scale}", problem, "use 1 to 8")
        if not 0 <= self.seed <= limits.SEED:
            raise InputError(f"seed {self.seed}", "must be from 0 to 2^63 - 1", "use a smaller number from 0")
        for name, value in (("shared noise", self.shared_noise), ("noise scale", self.noise_scale)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} {value}", "must be between 0 and 1", "use 0 to 1")
        if not 0 <= self.reference_strength <= limits.REFERENCE_STRENGTH:
            problem = f"must be between 0 and {limits.REFERENCE_STRENGTH:g}"
            raise InputError(f"reference strength {self.reference_strength}", problem, "use 1 for as trained")
        if self.context_length > denoiser.motion_max_positions:
            raise InputError(
                f"context length {self.context_length}",
                f"is longer than the model's {denoiser.motion_max_positions} temporal positions",
                f"use {denoiser.motion_max_positions} or less",
            )
        context_windows(1, self.context_length, self.context_overlap)
        self.build_scheduler(config)

    def note(self, config: ModelConfig) -> str:
        """What to know of settings that this model was not made for; empty where there is nothing."""
        if self.guidance_scale == 1 or config.defaults.scheduler not in FEW_STEPS:
            return ""
        return f"guidance {self.guidance_scale:g}: this model was distilled to go without; 1 suits it"

    def build_scheduler(self, config: ModelConfig) -> Any:
        """The diffusers scheduler of these settings on a model's schedule, its timesteps chosen.

        Raises:
            InputError: unknown name, or more steps than it has.
        """
        scheduler = build_scheduler(self.scheduler, config.inference_scheduler)
        set_timesteps(scheduler, config.inference_scheduler, self.num_inference_steps)
        return scheduler

    def windows(self, num_frames: int, step: int) -> list[list[int]]:
        """Frames of every window of a step, which is counted from 0."""
        length, overlap = self.context_length, self.context_overlap
        if self.window_grid == "shifted":
            return shifted_windows(num_frames, length, overlap, step)
        if self.window_grid == "random":
            return circular_windows(num_frames, length, overlap, window_offset(self.seed, step, num_frames))
        return context_windows(num_frames, length, overlap, self.closed_loop)


class SamplingNetworks(Protocol):
    """Protocol of the networks that sampling runs: ``models.networks.Networks``, or what a host loads."""

    @property
    def denoiser(self) -> Denoiser: ...

    @property
    def reference_network(self) -> ReferenceWriter: ...

    @property
    def controls(self) -> Mapping[str, HintReader]: ...


@dataclass(frozen=True)
class Progress:
    """Progress of the loop: before ``window`` (from 0) of ``step`` (from 0)."""

    step: int
    num_steps: int
    window: int
    num_windows: int


@dataclass(frozen=True)
class Step:
    """Result of a finished step; tensors are ``(1, channels, frames, h, w)``.

    Attributes:
        index: number of the step, from 0.
        num_steps: of the whole run.
        prediction: guided noise or velocity.
        clean: latents of the clip as this step's prediction sees them without noise.
        latents: what the next step begins with.
    """

    index: int
    num_steps: int
    prediction: Tensor
    clean: Tensor
    latents: Tensor


@torch.inference_mode()
def sample(
    networks: SamplingNetworks,
    config: ModelConfig,
    conditions: Conditions,
    settings: SamplingSettings,
    *,
    start_latents: Tensor | None = None,
    windows: Callable[[int], list[list[int]]] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Tensor:
    """Sample the latents of a clip.

    Args:
        networks: denoiser and reference network on the device to use.
        config: their config.
        conditions: on the same device, in the type to compute in.
        settings: see ``SamplingSettings``.
        start_latents: ``(1, channels, frames, h, w)``, of unit variance, instead of the seed's.
        windows: frames of every window of a step instead of the settings'.
        on_progress: called before every window; raise in it to cancel.
        on_step: called after every step; raise in it to cancel.

    Returns:
        Scaled latents ``(1, channels, frames, h, w)``, float32.

    Raises:
        InputError: settings out of range, or conditions or a result that are not finite.
    """
    settings.validate(config)
    conditions.check_finite()
    conditions = replace(conditions, reference_strength=settings.reference_strength)
    num_frames = conditions.num_frames
    device = conditions.reference.latents.device
    scheduler = settings.build_scheduler(config)
    schedule = schedule_of(scheduler)
    if start_latents is None:
        _, channels, height, width = conditions.reference.latents.shape
        shape = (channels, height, width)
        noise = start_noise(settings.seed, num_frames, shape, settings.shared_noise) * settings.noise_scale
        start_latents = blend_start(noise, conditions, config)
    latents = start_latents.to(device, torch.float32) * float(scheduler.init_noise_sigma)
    model = ClipDenoiser(
        networks.denoiser,
        networks.reference_network,
        conditions,
        settings.guidance_scale,
        settings.window_weights,
        networks.controls,
    )
    options = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = [frame_generator(settings.seed, i, stream=1) for i in range(num_frames)]
    for step, timestep in enumerate(scheduler.timesteps):
        step_windows = windows(step) if windows is not None else settings.windows(num_frames, step)

        def on_window(window: int, step: int = step, count: int = len(step_windows)) -> None:
            if on_progress is not None:
                on_progress(Progress(step, len(scheduler.timesteps), window, count))

        scaled = scheduler.scale_model_input(latents, timestep)
        prediction = model.predict(scaled, timestep[None].to(device), step_windows, on_window)
        # Frames come first in the scheduler, so that it draws any noise of its own per frame.
        frames = scheduler.step(
            prediction[0].transpose(0, 1), timestep, latents[0].transpose(0, 1), **options
        ).prev_sample
        latents = frames.transpose(0, 1)[None]
        # What overflows does so in the first step; a look at every one would make the device wait.
        if step in (0, len(scheduler.timesteps) - 1) and not all_finite(latents):
            raise not_finite("the model's result", conditions.reference.latents.dtype, CHECK_RESULT)
        if on_step is not None:
            clean = schedule.clean(scaled, prediction, timestep)
            on_step(Step(step, len(scheduler.timesteps), prediction, clean, latents))
    return latents
