"""Initial weights of MegActor-Sigma's training: a model that does not hear yet, and an encoder of sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..families.features import hears
from ..families.registry import families_with
from ..files import check_output_folder
from ..models.audio_encoder import build_audio_encoder
from ..models.config import ModelConfig
from ..models.encoder_config import AudioEncoderConfig, ConvAudioEncoderConfig
from ..models.sd15.attention import TransformerBlock
from ..models.sd15.config import UNetConfig
from .audio_encoder import ENCODER, read_encoder_config
from .base_model import spatial_sources
from .folder_plan import NetworkPlan, OnBytes, write_model_folder
from .layout import Shape
from .loading import build_on_meta, read_config
from .official import Source
from .start_model import (
    autoencoder,
    fit,
    fresh_motion,
    input_weights,
    is_trained_motion,
    network_shapes,
    own_file,
)
from .tensor_files import open_tensor_file

_SOUND = (".attn_audio.", ".norm_audio.")
_MIDDLE_MOTION = "mid_block.motion_modules."


@dataclass(frozen=True)
class HearingFiles:
    """Files of the weights that training starts from.

    Attributes:
        base: Stable Diffusion 1.5, one checkpoint or its UNet by CompVis' or diffusers' names; for a
            transformer PixArt-alpha or Latte, a file or a folder of diffusers; or the folder of a model of
            one's own that does not hear yet, or hears with another encoder.
        audio_encoder: Whisper's smallest, one file; or a folder that training of a ``mouth_reader`` wrote.
        motion: AnimateDiff's motion modules for Stable Diffusion 1.5, Latte for PixArt-alpha; a model has its
            own.
        vae: autoencoder by diffusers' names; None: the one in ``base``.
        context: the embedding of the empty text; a model has its own.
    """

    base: Path
    audio_encoder: Path
    motion: Path | None = None
    vae: Path | None = None
    context: Path | None = None


def write_hearing_start(
    output: Path,
    files: HearingFiles,
    *,
    config: ModelConfig | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: OnBytes | None = None,
) -> None:
    """Write a model folder that stage 1 of MegActor-Sigma can start from (arXiv 2408.14975).

    New are attention to the sound, whose output is 0, and with Stable Diffusion 1.5 the encoder of driving
    frames, the input weights of its channels, which are 0, and the middle's temporal module, which does
    nothing.

    Args:
        output: folder to make.
        files: the weights.
        config: of the model, by default the published one; a model of one's own has its own.
        seed: of what is new.
        dtype: of the written files.
        overwrite: replace an existing ``output``.
        progress: told how far it is.

    Raises:
        InputError: a file that cannot be used or is of another kind or architecture; the output exists or the
            disk is full. Nothing is left behind.
    """
    check_output_folder(output, "config.json", overwrite)
    published = families_with(hears)[0].config
    config = config or published
    if files.base.is_dir():
        config = _hearing(read_config(files.base), published)
    if files.audio_encoder.is_dir():
        ear = trained_ear(files.audio_encoder)
        hearing = replace(cast(UNetConfig, config.denoiser), audio_dim=ear.width)
        config = replace(config, audio_encoder=ear, denoiser=hearing)
    networks = build_on_meta(config, output)
    expected = network_shapes(networks)
    denoiser = networks.module("denoiser")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        computed = {"denoiser": _sound_layers(config, denoiser)}
        positions = window_positions(config)
    if files.base.is_dir():
        sources = model_sources(files.base, expected, computed["denoiser"])
    else:
        fresh, sound = fresh_motion(config, denoiser, _MIDDLE_MOTION, seed=seed), computed["denoiser"]
        sources, computed["denoiser"] = _of_stable_diffusion(files, config, expected, seed, sound, fresh)
    computed["audio_encoder"] = positions
    sources["audio_encoder"] = ear_sources(files.audio_encoder, expected["audio_encoder"], positions)
    plans = {
        name: NetworkPlan(shapes, sources[name], computed.get(name, {})) for name, shapes in expected.items()
    }
    write_model_folder(output, plans, config, dtype, progress)


def _hearing(model: ModelConfig, published: ModelConfig) -> ModelConfig:
    """Configuration of a model as one of the family: shown patches, guided away from a black driver."""
    if model.driving_encoder is None or not isinstance(model.denoiser, UNetConfig):
        raise InputError(
            f"a {model.family} model", "has no encoder of driving frames", "Start from one such as demo"
        )
    return replace(
        model,
        family=published.family,
        driving_modes=published.driving_modes,
        driving_encoder=replace(model.driving_encoder, black_unconditional=True),
        denoiser=replace(model.denoiser, audio_dim=published.denoiser.audio_dim),
        audio_encoder=model.audio_encoder or published.audio_encoder,
    )


def _sound_layers(config: ModelConfig, denoiser: nn.Module) -> dict[str, Tensor]:
    """Fresh attention to the sound of every block."""
    unet = cast(UNetConfig, config.denoiser)
    layers: dict[str, Tensor] = {}
    for name, block in denoiser.named_modules():
        if isinstance(block, TransformerBlock):
            width = block.norm1.normalized_shape[0]
            fresh = TransformerBlock(
                name, width, unet.num_attention_heads, unet.cross_attention_dim, unet.audio_dim
            )
            layers |= {
                f"{name}.{key}": tensor
                for key, tensor in fresh.state_dict().items()
                if f".{key}".startswith(_SOUND)
            }
    return layers


def trained_ear(folder: Path) -> AudioEncoderConfig | ConvAudioEncoderConfig:
    """Configuration of an audio encoder that was trained by itself, as a denoiser hears with it."""
    return replace(read_encoder_config(folder), window_positions=True)


def ear_sources(
    path: Path, expected: Mapping[str, Shape], positions: Mapping[str, Tensor]
) -> dict[str, Source]:
    """Sources of an audio encoder, one file or a folder of training, but for new ``positions``."""
    file = path / f"{ENCODER}.safetensors" if path.is_dir() else path
    return own_file(file, "audio_encoder", {k: s for k, s in expected.items() if k not in positions})


def window_positions(config: ModelConfig) -> dict[str, Tensor]:
    """Fresh vectors for the places in a window, where the audio encoder has such."""
    assert config.audio_encoder is not None
    positions = build_audio_encoder(config.audio_encoder).window_positions
    return (
        {} if positions is None else {f"window_positions.{k}": v for k, v in positions.state_dict().items()}
    )


def model_sources(
    folder: Path, expected: Mapping[str, Mapping[str, Shape]], new: Mapping[str, Tensor]
) -> dict[str, Mapping[str, Source]]:
    """Sources of all networks in a model folder but the audio encoder; the denoiser has ``new`` weights."""
    sources: dict[str, Mapping[str, Source]] = {}
    for network, shapes in expected.items():
        if network != "audio_encoder":
            file = open_tensor_file(folder / f"{network}.safetensors")
            keys = {key for key in shapes if network != "denoiser" or key not in new}
            sources[network] = fit(file.path, {key: Source(file, key) for key in file.shapes}, shapes, keys)
    return sources


def _of_stable_diffusion(
    files: HearingFiles,
    config: ModelConfig,
    expected: Mapping[str, Mapping[str, Shape]],
    seed: int,
    sound: Mapping[str, Tensor],
    middle: Mapping[str, Tensor],
) -> tuple[dict[str, Mapping[str, Source]], dict[str, Tensor]]:
    """Sources of all networks but the audio encoder, and all weights of the denoiser that are new.

    ``middle``, its temporal module there, is only taken where the file has none: AnimateDiff's newer ones.
    """
    for flag, file in (("--motion", files.motion), ("--context", files.context)):
        if file is None:
            raise InputError(flag, f"is needed for {config.family} on Stable Diffusion 1.5", "Name the file")
    assert files.motion is not None and files.context is not None
    base, modules = open_tensor_file(files.base), open_tensor_file(files.motion)
    unet = {name: Source(base, key) for name, key in spatial_sources(base).items()}
    shapes = expected["denoiser"]
    computed = {**sound, **input_weights(config, unet, shapes, seed)}
    temporal = {key: Source(modules, key) for key in modules.shapes}
    if not any(key.startswith(_MIDDLE_MOTION) for key in modules.shapes):
        computed |= middle
    spatial = {key for key in shapes if ".motion_modules." not in key and key not in computed}
    trained = {key for key in shapes if is_trained_motion(key) and key not in computed}
    sources: dict[str, Mapping[str, Source]] = {
        "denoiser": {
            **fit(files.base, unet, shapes, spatial),
            **fit(files.motion, temporal, shapes, trained),
        },
        "reference_network": fit(files.base, unet, expected["reference_network"]),
        "vae": autoencoder(base, files.vae, expected["vae"]),
        "constant_context": own_file(files.context, "constant_context", expected["constant_context"]),
    }
    return sources, computed
