"""Plan of an animation: asked and checked once, before the work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..models.conditions import ControlStrength
from ..models.config import ModelConfig
from ..motion import Amplitude, Liveliness
from ..sampling.sampler import SamplingSettings
from ..vision.crops import box_crop, checked_size
from ..vision.framing import CropMode
from .checks import check_controls, check_motion, check_start, checked_mode
from .clip import Clip, find_clip
from .inputs import Inputs
from .options import AnimationOptions, ControlOptions, SamplingOptions

MemoryCheck = Callable[[SamplingSettings, int, int], None]
"""Raises InputError where a clip of a size in pixels and so many frames needs more memory than there is."""


@dataclass(frozen=True, eq=False)
class Plan:
    """An animation that a model can do; whoever has one opens and checks nothing again.

    Attributes:
        options: what was asked for; where an attribute below says the same, that one counts.
        inputs: what is read, and where the result goes.
        clip: frames and sound of the result.
        settings: how to sample.
        size: side of the square in pixels.
        mode: what is shown of the driver.
        amplitude, liveliness: how much of each motion counts.
        strengths: of the ControlNets, by name.
    """

    options: AnimationOptions
    inputs: Inputs
    clip: Clip
    settings: SamplingSettings
    size: int
    mode: str
    amplitude: Amplitude
    liveliness: Liveliness
    strengths: Mapping[str, ControlStrength]

    @property
    def driving_crop(self) -> CropMode:
        """The square of the driver; the same way as the portrait's, but that a box is one of its picture."""
        crops = self.options.crops
        return crops.driving_crop or (crops.crop if isinstance(crops.crop, str) else "face")

    @property
    def more_crop(self) -> CropMode:
        """The square of other pictures of the person."""
        crop = self.options.crops.crop
        return crop if isinstance(crop, str) else "auto"


def make_plan(
    config: ModelConfig, inputs: Inputs, options: AnimationOptions, check_memory: MemoryCheck
) -> Plan:
    """Check what a model is asked to animate, and plan it.

    Args:
        config: of the model.
        inputs: from ``open_inputs``.
        options: what is asked for.
        check_memory: see ``MemoryCheck``; called last.

    Raises:
        InputError: anything that this model, or this machine, cannot do.
    """
    settings = options.settings or sampling_settings(config, options.sampling)
    strengths = control_strengths(options.controls) if options.strengths is None else options.strengths
    amplitude = options.amplitude or options.motion.amplitude
    speech, driver = options.motion.speech, inputs.driver
    check_controls(config, strengths, options.driving.best_frame)
    mode = checked_mode(config, options.driving.driving_mode, speech is not None)
    check_motion(config, driver is not None, speech is not None, amplitude)
    clip = find_clip(driver, speech, options.frames.start, options.frames.stop, options.motion.frame_rate)
    amplitude.check_length(clip.num_frames)
    if inputs.start is not None:
        subject = f"start video {inputs.start.name}"
        check_start(config, inputs.start.num_frames, clip.num_frames, subject)
    asked = options.sampling.size
    size = checked_size(config.defaults.size if asked is None else asked)
    plan = Plan(
        options=options,
        inputs=inputs,
        clip=clip,
        settings=settings,
        size=size,
        mode=mode,
        amplitude=amplitude,
        liveliness=options.liveliness or options.motion.liveliness(settings.seed),
        strengths=strengths,
    )
    _check_box(options.crops.crop, inputs.picture.shape[:2], size)
    if driver is not None:
        _check_box(plan.driving_crop, (driver.height, driver.width), size)
    check_memory(settings, size, clip.num_frames)
    return plan


def sampling_settings(config: ModelConfig, sampling: SamplingOptions) -> SamplingSettings:
    """The model's sampling settings with what was given.

    Raises:
        InputError: values that no model or this model cannot work with.
    """
    given = {name: value for name, value in sampling if value is not None and name != "size"}
    settings = SamplingSettings.from_defaults(config.defaults, **given)
    settings.validate(config)
    return settings


def control_strengths(
    controls: ControlOptions, spelled: Callable[[str], str] = str
) -> dict[str, ControlStrength]:
    """Strengths of the ControlNets that were given.

    Args:
        controls: what was given.
        spelled: how a user wrote the name of an option, for errors.

    Raises:
        InputError: impossible ones.
    """
    strengths = {}
    for name, values in controls:
        if values is not None:
            try:
                strengths[name] = ControlStrength(*values)
            except InputError as error:
                subject = f"{spelled(name)}: {error.subject}"
                raise InputError(subject, error.problem, error.remedy) from error
    return strengths


def _check_box(crop: CropMode, source_size: tuple[int, int], size: int) -> None:
    """Raises InputError for a box that lies outside its picture of (height, width)."""
    if not isinstance(crop, str):
        box_crop(crop, source_size, size)
