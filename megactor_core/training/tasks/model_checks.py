"""Whether a model can be trained as a configuration asks for."""

from __future__ import annotations

from ...conditioning.compose import driving_width
from ...errors import InputError
from ...families.features import encodes_driver, hears
from ...families.registry import families_with
from ...models.conditioned import ConditionedDenoiser
from ...models.config import ModelConfig
from ...models.denoiser import Denoiser
from ..config.controls import ControlsConfig
from ..config.modalities import ModalitiesConfig
from ..config.tasks import DenoiserTaskConfig, PuppetClipsConfig


def check_model(config: DenoiserTaskConfig, model: ModelConfig, denoiser: Denoiser) -> None:
    """Refuse what a model lacks, before anything is rendered.

    Raises:
        InputError: longer windows, ControlNets, hearing or reading of the reference that it does not have; a
            schedule on which it cannot be distilled.
    """
    _check_window(config, model)
    if config.controls != ControlsConfig() and model.control_network is None:
        problem = f"is for models with ControlNets; {model.family} has none"
        raise InputError("task.controls", problem, "Leave it out")
    if config.modalities is not None:
        _check_modalities(config, config.modalities, model)
    if config.auxiliary_weight and not driving_width(model):
        problem = f"reads the motion from what encodes the driver, which a {model.family} model does not have"
        raise InputError("task.auxiliary_weight", problem, "Leave it out")
    if config.distillation is not None:
        _check_schedule(model)
    if config.correspondence_weight and not isinstance(denoiser, ConditionedDenoiser):
        problem = f"is for denoisers that attend to the reference; this one is a {model.denoiser.kind}"
        raise InputError("task.correspondence_weight", problem, "Leave it out")


def _check_modalities(config: DenoiserTaskConfig, modalities: ModalitiesConfig, model: ModelConfig) -> None:
    """Raises InputError where the model or the data lack what the draws ask for."""
    if not (hears(model) and encodes_driver(model)):
        heard = " and ".join(family.name for family in families_with(hears))
        problem = f"a {model.family} model hears nothing"
        raise InputError("task.modalities", problem, f"They are for {heard}; leave them out")
    puppets = isinstance(config.data, PuppetClipsConfig)
    if modalities.stills and not puppets:
        raise InputError(
            "task.modalities.draws: still",
            "only puppets can be shown with their mouth at rest",
            "Leave it out",
        )


def _check_schedule(model: ModelConfig) -> None:
    """Raises InputError where the first step of sampling tells nothing of the clean latents."""
    scheduler = model.inference_scheduler
    if scheduler.prediction_type == "epsilon" and scheduler.rescale_betas_zero_snr:
        problem = "this model predicts noise and samples from a last timestep that has nothing but noise"
        remedy = "Give task.schedule: one of v_prediction, or without rescale_betas_zero_snr"
        raise InputError("task.distillation", problem, remedy)


def _check_window(config: DenoiserTaskConfig, model: ModelConfig) -> None:
    longest = model.denoiser.motion_max_positions
    if config.motion_modules and config.data.frames > longest:
        raise InputError(
            f"task.data.frames: {config.data.frames}",
            f"is a longer window than the model's {longest} temporal positions",
            f"Use {longest} or fewer",
        )
