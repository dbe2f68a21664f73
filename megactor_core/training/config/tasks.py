"""Configuration of what can be trained: autoencoder, reader of mouths, and the stages of the denoiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from ... import limits
from ...models.config import ModelConfig, SchedulerConfig
from ...section import Section
from .controls import ControlsConfig
from .data import ShardClipsConfig
from .distillation import DistillationConfig
from .modalities import ModalitiesConfig
from .mouth_reader import MouthReaderTaskConfig
from .puppets import PuppetClipsConfig

_LPIPS_SIZE = 64
"""Below it nothing is left for AlexNet's last layers."""

_LAST_TIMESTEP = limits.STEPS - 1
Timestep = Annotated[int, Field(ge=0, le=_LAST_TIMESTEP)]


class AutoencoderTaskConfig(Section):
    """diffusers' AutoencoderKL on puppets and other pictures that are rendered while it trains."""

    name: Literal["autoencoder"] = "autoencoder"
    size: int = Field(128, ge=32, le=8192, multiple_of=8, description="side of the pictures in pixels")
    crop: int | None = Field(
        None, ge=32, le=8192, multiple_of=8, description="side of the piece of a picture that is trained on"
    )
    batch_size: int = Field(16, ge=1, le=100_000, description="pictures per batch, shared by all processes")
    vae: dict[str, Any] | None = Field(
        None, description="keyword arguments of AutoencoderKL, with fresh weights; scaling_factor is measured"
    )
    initial_weights: Path | None = Field(
        None,
        description="autoencoder to start from, instead of vae: what a training of one exported, a model "
        "folder, or demo",
    )
    procedural_share: float = Field(
        0.0, ge=0, le=1, description="share of pictures of shapes and textures of all kinds, not puppets"
    )
    l1_weight: float = Field(
        1.0, ge=0, le=limits.ERROR_WEIGHT, description="weight of the absolute error of pixels in [-1, 1]"
    )
    mse_weight: float = Field(4.0, ge=0, le=limits.ERROR_WEIGHT, description="weight of the squared error")
    kl_weight: float = Field(
        1e-6, ge=0, le=limits.ERROR_WEIGHT, description="weight of the divergence from the unit normal"
    )
    feature_weight: float = Field(
        2.5,
        ge=1,
        le=limits.ERROR_WEIGHT,
        description="error weight around eyes, brows and mouth; 1 elsewhere",
    )
    validation_pictures: int = Field(
        64, ge=1, le=100_000, description="held-out pictures whose PSNR is logged"
    )

    @model_validator(mode="after")
    def _check_source(self) -> AutoencoderTaskConfig:
        if (self.vae is None) == (self.initial_weights is None):
            raise ValueError("give either vae or initial_weights")
        if self.crop is not None and self.crop > self.size:
            raise ValueError("crop is larger than size")
        return self


def _data_name(data: Any) -> str | None:
    """Puppets, unless another name is given."""
    return data.get("name", "puppets") if isinstance(data, dict) else getattr(data, "name", None)


DataConfig = Annotated[
    Annotated[PuppetClipsConfig, Tag("puppets")] | Annotated[ShardClipsConfig, Tag("shards")],
    Discriminator(_data_name),
]


class LoraConfig(Section):
    """Low-rank additions to layers of the denoiser, trained instead of its weights (Hu et al. 2021)."""

    rank: int = Field(
        16, ge=1, le=4096, description="rank of the additions: more holds more, and is a larger file"
    )
    alpha: int = Field(16, ge=1, le=4096, description="the additions count alpha / rank times")
    layers: tuple[str, ...] = Field(
        ("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="layers whose name ends in one of these: by default all attentions, temporal ones too",
    )
    initial_weights: Path | None = Field(
        None, description="file of a LoRA to start from, of the same rank and for such layers"
    )
    base_precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="of the weights that are not trained; bf16, which goes with precision bf16, halves them",
    )


class ValidationConfig(Section):
    """Held-out clips: they are sampled, and their loss is measured."""

    clips: int = Field(
        4, ge=1, le=10_000, description="held-out clips; the first four are kept as clips and pictures"
    )
    frames: int = Field(8, ge=2, le=10_000, description="frames of each")
    num_inference_steps: int = Field(10, ge=1, le=limits.STEPS, description="denoising steps")
    loss_timesteps: tuple[Timestep, ...] = Field(
        (125, 250, 375, 500, 625, 750, 875, _LAST_TIMESTEP),
        description="timesteps at which the held-out loss is measured, with no condition dropped; [] leaves "
        "it out",
    )


_TRAINABLE = ("denoiser.", "reference_network.")


class DenoiserTaskConfig(Section):
    """Denoiser, reference network and image encoder; stage and data are a matter of values."""

    name: Literal["denoiser"] = "denoiser"
    model: ModelConfig | None = Field(None, description="networks and schedules, with fresh weights")
    initial_weights: Path | None = Field(
        None, description="model folder to start from; beside model, what of it fits: same name, same shape"
    )
    vae: Path | None = Field(
        None,
        description="with a model of fresh weights, whose autoencoder it gets: what a training of one "
        "exported, a model folder, or demo",
    )
    trainable: tuple[str, ...] = Field(
        _TRAINABLE,
        min_length=1,
        description="trained are parameters whose name (network.parameter) contains one of these",
    )
    motion_modules: bool = Field(
        True, description="run the temporal modules; off, frames are trained as pictures"
    )
    untrained: tuple[str, ...] = Field(
        (), description="parts of parameter names that stay as they are although trainable names them"
    )
    lora: LoraConfig | None = Field(
        None, description="train low-rank additions to the denoiser instead of what trainable names"
    )
    data: DataConfig = Field(PuppetClipsConfig(), description="clips to learn from: name puppets or shards")
    reference_start_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="with a start from the reference, share of clips noised from there; the others from "
        "their own picture",
    )
    schedule: SchedulerConfig | None = Field(
        None, description="noise schedule of training and sampling from now on; null: as the model has it"
    )
    start: Literal["noise", "reference"] | None = Field(
        None, description="what sampling starts from, from now on; null: as the model has it"
    )
    zero_terminal_snr: bool | None = Field(
        None,
        description="no signal at the last timestep of training (Lin et al. 2023); null: as the model has it",
    )
    offset_noise: float = Field(
        0.1, ge=0, le=10, description="deviation of noise that is constant over a clip's pixels"
    )
    shared_noise: float = Field(
        0.0, ge=0, le=1, description="share of the noise's variance common to all frames"
    )
    timestep_power: float = Field(
        1.0,
        ge=0.01,
        le=100,
        description="t = 1000 u^(1/power) with u uniform: 1 is uniform, more favours noise",
    )
    start_share: float = Field(
        0.0, ge=0, le=1, description="share of clips trained at the last timestep, where sampling starts"
    )
    start_noise_scale: float = Field(
        1.0, ge=0, le=1, description="size of the noise of these clips: the noise_scale of sampling"
    )
    own_start: bool = Field(
        False,
        description="the other clips go on from the model's own first step, as in sampling; velocity only",
    )
    sample_latents: bool = Field(
        True, description="latents are samples of the VAE's posterior; off: its mean"
    )
    cached_batches: int = Field(
        0,
        ge=0,
        le=limits.COUNT,
        description="so many batches recur, their latents kept in the run's folder; 0: always new ones",
    )
    cache_on_device: bool = Field(
        False, description="keep cached batches where the networks are too, after their first use"
    )
    feature_weight: float = Field(
        1.0,
        ge=1,
        le=limits.ERROR_WEIGHT,
        description="error weight around eyes, brows and mouth; 1 elsewhere",
    )
    change_weight: float = Field(
        0.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="weight of the error of the changes from frame to frame: less flicker",
    )
    min_snr_gamma: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="weight of a clip's error is min(SNR, gamma) / SNR (Hang et al. 2023); usually 5",
    )
    modalities: ModalitiesConfig | None = Field(
        None,
        description="what each clip shows and lets hear, drawn from a table (Modality Decoupling Control)",
    )
    reference_dropout: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of clips trained without reference keys, and without what ControlNets add",
    )
    background_dropout: float = Field(
        0.0, ge=0, le=1, description="share of clips trained with background tokens of zero"
    )
    driving_dropout: float = Field(0.0, ge=0, le=1, description="share of clips trained with a black driver")
    controls: ControlsConfig = Field(ControlsConfig(), description="what ControlNets are shown")
    auxiliary_weight: float = Field(
        0.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="weight of a linear head that reads the motion from the driving features",
    )
    auxiliary_steps: int = Field(
        1, ge=1, le=limits.COUNT, description="steps over which that weight falls to 0"
    )
    correspondence_weight: float = Field(
        0.0,
        ge=0,
        le=limits.ERROR_WEIGHT,
        description="weight of the error of where attention looks in the reference, which puppets know",
    )
    distillation: DistillationConfig | None = Field(
        None, description="train for sampling in a few steps without guidance, instead of as usual"
    )
    channels_last: bool = Field(False, description="memory format of the convolutions")
    export_precision: Literal["fp32", "fp16"] = Field("fp32", description="of the exported weights")
    validation: ValidationConfig = Field(ValidationConfig(), description="what is rendered while training")

    @model_validator(mode="after")
    def _check_source(self) -> DenoiserTaskConfig:
        if self.model is None and self.initial_weights is None:
            raise ValueError("give model or initial_weights")
        if self.vae is not None and self.model is None:
            raise ValueError("vae goes with model; initial_weights have their own")
        if self.own_start and not self.start_share:
            raise ValueError("own_start needs a start_share: without it the first step is hardly trained")
        if self.own_start and self.reference_start_share < 1:
            raise ValueError("own_start lets every clip start from its reference: reference_start_share is 1")
        if self.min_snr_gamma and self.own_start:
            raise ValueError("min_snr_gamma weighs the noise of the truth, which own_start replaces")
        if self.modalities and (self.reference_dropout or self.driving_dropout):
            raise ValueError(
                "modalities say what is dropped; leave reference_dropout and driving_dropout out"
            )
        if self.distillation:
            self._check_distillation()
        if self.lora and (self.model is not None or self.trainable != _TRAINABLE):
            raise ValueError("lora goes with initial_weights and without trainable")
        if self.auxiliary_weight and not isinstance(self.data, PuppetClipsConfig):
            raise ValueError("auxiliary_weight is for puppets alone")
        if self.correspondence_weight and not isinstance(self.data, PuppetClipsConfig):
            raise ValueError("correspondence_weight is for puppets alone")
        if self.cache_on_device and not self.cached_batches:
            raise ValueError("cache_on_device keeps cached_batches, of which there are none")
        if self.cached_batches and self.sample_latents:
            raise ValueError("cached_batches keeps latents, so sample_latents must be false")
        return self

    def _check_distillation(self) -> None:
        others = {
            "timestep_power": 1.0,
            "start_share": 0.0,
            "own_start": False,
            "offset_noise": 0.0,
            "min_snr_gamma": None,
            "reference_dropout": 0.0,
            "background_dropout": 0.0,
            "driving_dropout": 0.0,
            "correspondence_weight": 0.0,
            "reference_start_share": 1.0,
        }
        wrong = [name for name, value in others.items() if getattr(self, name) != value]
        if wrong:
            name = wrong[0]
            raise ValueError(f"distillation is for what sampling does: {name} has to be {others[name]}")
        if getattr(self.distillation, "lpips_weights", None) and self.data.size < _LPIPS_SIZE:
            raise ValueError(f"lpips_weights compares pictures of at least {_LPIPS_SIZE} pixels a side")
        draws = self.modalities.draws if self.modalities else ()
        if any(draw.share and (draw.masked or not draw.reference) for draw in draws):
            raise ValueError("distillation is for what sampling does: no draw masks or drops the reference")


TaskConfig = Annotated[
    AutoencoderTaskConfig | DenoiserTaskConfig | MouthReaderTaskConfig, Field(discriminator="name")
]
