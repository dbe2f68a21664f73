"""Features of a model, by its configuration, as checks, menus and messages ask for them."""

from __future__ import annotations

from collections.abc import Callable

from ..models.config import ModelConfig

Feature = Callable[[ModelConfig], bool]


def hears(config: ModelConfig) -> bool:
    """Sound can move the lips."""
    return config.audio_encoder is not None


def encodes_driver(config: ModelConfig) -> bool:
    """An encoder of its own reads the driving frames."""
    return config.driving_encoder is not None


def has_controls(config: ModelConfig) -> bool:
    """ControlNets show the driver."""
    return config.control_network is not None


def reads_background(config: ModelConfig) -> bool:
    """Tokens of the background picture are its context, instead of a constant."""
    return not config.constant_context


def aligns_driver(config: ModelConfig) -> bool:
    """The usual driving mode lays the driver's face onto the portrait's."""
    return config.driving_modes[0] != "plain"


def starts_from_reference(config: ModelConfig) -> bool:
    """Sampling starts from noised latents of pictures instead of noise alone."""
    return config.start == "reference"


def is_transformer(config: ModelConfig) -> bool:
    """Its denoiser is a diffusion transformer."""
    return config.denoiser.kind == "dit"


def has_plain_base(config: ModelConfig) -> bool:
    """Below its temporal modules and ControlNets lies plain Stable Diffusion 1.5, which may be exchanged."""
    return (
        not config.concatenated_reference
        and config.driving_encoder is None
        and config.denoiser.kind == "unet"
    )


def shows(mode: str) -> Feature:
    """The feature of models that have a driving mode."""
    return lambda config: mode in config.driving_modes
