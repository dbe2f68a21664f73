"""Configuration of a portrait model: frozen values that every network is built from.

The defaults are the official MegActor (v1) model; smaller models and other families change values, not code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from .. import limits
from .denoiser_config import DenoiserConfig, ReferenceConfig
from .encoder_config import (
    AUDIO_ENCODER_KIND,
    AudioEncoderConfig,
    ConvAudioEncoderConfig,
    DrivingEncoderConfig,
)
from .fields import DEEPEST, LARGEST, STRICT, Count, Share, Size, Widths
from .kinds import OF_ITS_KIND
from .sd15.config import UNetConfig

if TYPE_CHECKING:  # configurations are read where nothing is computed
    from torch import Tensor


def _check_arguments(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Numbers that a network of another library could be built with, in time."""
    for name, value in arguments.items():
        largest = DEEPEST if "layers" in name else LARGEST
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not abs(number) <= largest:
                raise ValueError(f"{name} has a number beyond {largest}")
    return arguments


def _check_vae(vae: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of the autoencoder that are read before it is built."""
    for name, kind in (("block_out_channels", Widths), ("latent_channels", Size)):
        try:
            TypeAdapter(kind).validate_python(vae.get(name))
        except ValidationError as error:
            raise ValueError(f"{name}: {error.errors()[0]['msg']}") from None
    return _check_arguments(vae)


@dataclass(frozen=True)
class SchedulerConfig:
    """Noise schedule of training or of sampling, in the words of diffusers' schedulers.

    ``rescale_betas_zero_snr`` follows Lin et al. 2023 ("Common Diffusion Noise Schedules ... Are Flawed").
    ``step_rule`` says what a number of steps asks for: that many, or a stride of ``1000 // steps`` (CompVis,
    X-Portrait), which may give some more.
    """

    beta_schedule: Literal["linear", "scaled_linear"] = "linear"
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 0.00085
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.012
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    timestep_spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: Annotated[int, Field(ge=0, le=1)] = 1
    set_alpha_to_one: bool = True
    rescale_betas_zero_snr: bool = False
    step_rule: Literal["count", "stride"] = "count"


@dataclass(frozen=True)
class SamplingDefaults:
    """Default settings of sampling.

    Attributes:
        size: side of the square picture in pixels.
        num_inference_steps: denoising steps.
        guidance_scale: classifier-free guidance; 1 evaluates the conditional row only.
        scheduler: sampler, by the names of ``sampling.schedule``.
        context_length: frames of a window.
        context_overlap: frames that neighbouring windows share.
        closed_loop: windows wrap around the end of the clip, as in MegActor's public code.
        window_grid: where the windows begin: every step at the same frames (``"fixed"``, MegActor), one frame
            earlier with every step (``"shifted"``, MegActor-Sigma), or on a closed loop at a random frame
            (``"random"``, X-Portrait).
        shared_noise: share of the start noise's variance that all frames have in common, 0..1.
        noise_scale: size of the start noise, 0..1; 1 is the schedule's own. Less keeps a small model from
            inventing texture: softer, steadier frames that are closer to the truth.
    """

    size: Size = 512
    num_inference_steps: Annotated[int, Field(ge=1, le=limits.STEPS)] = 25
    guidance_scale: Annotated[float, Field(ge=0, le=limits.GUIDANCE)] = 4.5
    scheduler: Literal["ddim", "euler", "dpm++2m", "unipc", "lcm", "tcd"] = "ddim"
    context_length: Size = 16
    context_overlap: Count = 8
    closed_loop: bool = True
    window_grid: Literal["fixed", "shifted", "random"] = "fixed"
    shared_noise: Share = 0.0
    noise_scale: Share = 1.0


OFFICIAL_VAE: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}

OFFICIAL_IMAGE_ENCODER: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}


@dataclass(frozen=True)
class LatentSpace:
    """The latents of a VAE: what everything outside the VAE needs to know of it.

    Attributes:
        channels: of a latent.
        pixels_per_cell: pixels that one latent cell stands for along height and width.
        frames_per_latent: frames that one latent stands for.
        scale, shift: ``(latents - shift) * scale`` of the VAE's own latents are the scaled ones, in which
            models are trained and clips are sampled.
        decoder_width: channels of the decoder at the pixels' resolution; its memory is reckoned in these.
    """

    channels: int
    pixels_per_cell: int
    frames_per_latent: int
    scale: float
    shift: float
    decoder_width: int

    @classmethod
    def of(cls, vae: Mapping[str, Any]) -> LatentSpace:
        """Of keyword arguments, or the config, of diffusers' ``AutoencoderKL``."""
        widths = vae["block_out_channels"]
        return cls(
            channels=vae["latent_channels"],
            pixels_per_cell=2 ** (len(widths) - 1),
            frames_per_latent=1,
            scale=vae.get("scaling_factor", OFFICIAL_VAE["scaling_factor"]),
            shift=vae.get("shift_factor") or 0.0,
            decoder_width=widths[0],
        )

    def cells(self, pixels: int) -> int:
        """Latent cells along a side of so many pixels."""
        return pixels // self.pixels_per_cell

    def latents(self, num_frames: int) -> int:
        """Latents of a clip of so many frames."""
        return -(-num_frames // self.frames_per_latent)

    def scaled(self, latents: Tensor) -> Tensor:
        """The VAE's own latents as models see them."""
        return (latents - self.shift) * self.scale

    def unscaled(self, latents: Tensor) -> Tensor:
        """Inverse of ``scaled``: what the VAE decodes."""
        return latents / self.scale + self.shift


@dataclass(frozen=True)
class ModelConfig:
    """A whole portrait model.

    Attributes:
        family: name of the family, e.g. ``"megactor"``.
        denoiser: the 3-D denoiser, of any kind in ``kinds.DENOISERS``. Its input is the noisy latent, then
            what ``concatenated_reference`` says, then the encoded driver where there is a driving encoder.
        driving_encoder: the encoder of driving frames inside it, where it has one.
        reference_network: the 2-D network whose tokens the denoiser reads, of the same kind.
        vae: keyword arguments of diffusers' ``AutoencoderKL``.
        image_encoder: keyword arguments of transformers' ``CLIPVisionConfig``; it makes the context tokens of
            the background picture. None: the context is ``constant_context``.
        constant_context: number of context tokens that are the same for every clip and come with the weights;
            0 where the image encoder gives them.
        audio_encoder: turns sound into the audio tokens; None where the denoiser hears nothing.
        concatenated_reference: whether the reference latent and the background mask join the noisy latent.
            None, as in files from before it was said: they do where the denoiser has channels for them.
        reference_posterior: whether the concatenated reference latent is a ``"sample"`` of the VAE's
            posterior (official) or its ``"mean"``.
        control_network: shape of the two ControlNets that show the driver's whole face and its eyes and mouth
            (X-Portrait); None where the driver enters otherwise.
        start: what sampling starts from: noise, or the reference's latents noised to the last timestep.
        antialiased_crops: average over the covered pixels where a crop shrinks the picture. The official
            model was trained on plain bilinear samples.
        framing: what of a face's surroundings the model was trained to see, see ``vision.framing``.
        driving_modes: what may be shown of the driver, see ``vision.driving``; the usual one first, the one
            for a driver that comes with speech last.
        inference_scheduler / training_scheduler: noise schedules (they differ in the official model, and the
            difference must be kept).
        defaults: sampling defaults.
    """

    __pydantic_config__ = STRICT

    family: str = "megactor"
    denoiser: Annotated[DenoiserConfig, OF_ITS_KIND] = field(default_factory=UNetConfig)
    driving_encoder: DrivingEncoderConfig | None = field(default_factory=DrivingEncoderConfig)
    reference_network: Annotated[ReferenceConfig, OF_ITS_KIND] = field(
        default_factory=lambda: UNetConfig(in_channels=4, out_channels=0, motion_modules=False)
    )
    vae: Annotated[Mapping[str, Any], AfterValidator(_check_vae)] = field(
        default_factory=lambda: dict(OFFICIAL_VAE)
    )
    image_encoder: Annotated[Mapping[str, Any], AfterValidator(_check_arguments)] | None = field(
        default_factory=lambda: dict(OFFICIAL_IMAGE_ENCODER)
    )
    constant_context: Count = 0
    audio_encoder: Annotated[AudioEncoderConfig | ConvAudioEncoderConfig, AUDIO_ENCODER_KIND] | None = None
    control_network: UNetConfig | None = None
    concatenated_reference: bool | None = None
    reference_posterior: Literal["sample", "mean"] = "sample"
    start: Literal["noise", "reference"] = "noise"
    antialiased_crops: bool = False
    framing: Literal["face", "head"] = "face"
    driving_modes: tuple[str, ...] = ("plain", "contour")
    inference_scheduler: SchedulerConfig = SchedulerConfig()
    training_scheduler: SchedulerConfig = SchedulerConfig(
        beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    defaults: SamplingDefaults = SamplingDefaults()

    def __post_init__(self) -> None:
        if self.concatenated_reference is None:
            driver = 0 if self.driving_encoder is None else self.driving_encoder.out_channels
            rest = self.denoiser.in_channels - self.latent_space.channels - driver
            object.__setattr__(self, "concatenated_reference", rest > 0)

    @property
    def latent_space(self) -> LatentSpace:
        """Of the VAE."""
        return LatentSpace.of(self.vae)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary; ``from_dict`` restores an equal config."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Rebuild a config from ``to_dict`` output, as read from ``config.json``.

        Raises:
            ValueError: an unknown field, or a value of another type or out of its range; see
                ``validation.explain``.
        """
        return _reader().validate_python(data)


@cache
def _reader() -> TypeAdapter[ModelConfig]:
    return TypeAdapter(ModelConfig)
