"""Initial weights of a diffusion transformer that is driven: PixArt-alpha, Latte, or a model of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..families.features import is_transformer
from ..families.registry import families_with
from ..files import check_output_folder
from ..models.config import ModelConfig
from ..models.dit.blocks import SpatialBlock
from ..models.dit.config import MOTION_GROUPS, MOTION_INTERVAL, DiTConfig
from ..models.driving_encoder import DrivingEncoder
from ..models.encoder_config import AudioEncoderConfig, ConvAudioEncoderConfig
from ..models.temporal import MotionModule
from .folder_plan import NetworkPlan, OnBytes, write_model_folder
from .layout import Shape, map_key, recognise
from .loading import build_on_meta, read_config
from .official import Source
from .pixart_files import (
    REMEDY,
    PublicTransformer,
    open_transformer,
    transformer_folder,
    weight_files,
)
from .pixart_pipeline import context_tokens, read, vae_arguments, vae_file
from .shapes import audio_encoder_config
from .start_hearing import HearingFiles, ear_sources, model_sources, trained_ear, window_positions
from .start_model import fit, network_shapes, own_file
from .tensor_files import open_tensor_file

_SOUND = ("attn_audio.", "norm_audio.")
_INPUT = "pos_embed.proj.weight"
_OUTPUT = ("proj_out.weight", "proj_out.bias")

_Sources = dict[str, Mapping[str, Source]]
_Weights = dict[str, dict[str, Tensor]]


def write_transformer_start(
    output: Path,
    files: HearingFiles,
    *,
    config: ModelConfig | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: OnBytes | None = None,
) -> None:
    """Write a model folder that a diffusion transformer's training can start from.

    Denoiser and reference network get the spatial blocks of PixArt-alpha (arXiv 2310.00426) or Latte (arXiv
    2401.03048), the denoiser also Latte's temporal ones. New are attention to the sound, whose output is 0,
    the encoder of driving frames, the input weights of its channels, which are 0, and, where no file has
    temporal blocks, temporal modules that do nothing: at first the model predicts what the public one does.
    These are AnimateDiff's: fresh blocks of Latte would not be without effect, since Latte's positions of
    frames enter the tokens themselves. Of a learned variance the rows are dropped.

    Args:
        output: folder to make.
        files: the weights. Without ``context`` the context is tokens of zero; else a single tensor, either
            T5's embedding or tokens behind the base's caption projection, or PixArt-alpha's original
            checkpoint, which has the one it was trained with. Without ``vae`` it is that of the folder around
            ``base``.
        config: what files do not tell is taken from it; by default the published one. A model has its own.
        seed: of what is new.
        dtype: of the written files.
        overwrite: replace an existing ``output``.
        progress: told how far it is.

    Raises:
        InputError: a file that cannot be used or is of another kind, size or latent space; the output exists
            or the disk is full. Nothing is left behind.
    """
    check_output_folder(output, "config.json", overwrite)
    published = config or families_with(is_transformer)[0].config
    base: PublicTransformer | None = None
    temporal: PublicTransformer | None = None
    if files.base.is_dir() and not weight_files(transformer_folder(files.base)):
        config = _of_own_model(files.base, published)
    else:
        base, temporal, config = _of_public(files, published)
    config = _hearing_with(files.audio_encoder, config)
    networks = build_on_meta(config, output)
    expected = network_shapes(networks)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        new = _sound_layers(config, dtype)
        positions = window_positions(config)
        if base is None:
            if not _is_moving(read_config(files.base)):
                new |= _motion_modules(config, dtype)
            computed: _Weights = {"denoiser": new}
            sources: _Sources = model_sources(files.base, expected, new)
        else:
            assert config.driving_encoder is not None
            new |= _named("driving_encoder", DrivingEncoder(config.driving_encoder), dtype)
            if temporal is None:
                new |= _motion_modules(config, dtype)
            sources, computed = _public_weights(files, base, temporal, config, expected, new)
    computed["audio_encoder"] = positions
    sources["audio_encoder"] = ear_sources(files.audio_encoder, expected["audio_encoder"], positions)
    plans = {
        name: NetworkPlan(shapes, sources.get(name, {}), computed.get(name, {}))
        for name, shapes in expected.items()
    }
    write_model_folder(output, plans, config, dtype, progress)


def _of_own_model(folder: Path, published: ModelConfig) -> ModelConfig:
    """Configuration of a model of one's own as one of the family, with something over the frames."""
    own = read_config(folder)
    if not isinstance(own.denoiser, DiTConfig) or own.driving_encoder is None:
        raise InputError(folder, f"is a {own.family} model without a driven transformer", REMEDY)
    denoiser = own.denoiser if _is_moving(own) else replace(own.denoiser, temporal_blocks="motion")
    return replace(
        own,
        family=published.family,
        driving_modes=published.driving_modes,
        driving_encoder=replace(own.driving_encoder, black_unconditional=True),
        denoiser=denoiser,
    )


def _is_moving(config: ModelConfig) -> bool:
    return cast(DiTConfig, config.denoiser).temporal_blocks != "none"


def _of_public(
    files: HearingFiles, published: ModelConfig
) -> tuple[PublicTransformer, PublicTransformer | None, ModelConfig]:
    """The base, what has temporal blocks, and the configuration that they make up."""
    assert published.driving_encoder is not None
    wanted = cast(DiTConfig, published.denoiser)
    channels = published.latent_space.channels
    base = open_transformer(files.base, wanted, channels)
    temporal = base if base.is_temporal else None
    if files.motion is not None:
        temporal = open_transformer(files.motion, wanted, channels)
        if not temporal.is_temporal:
            raise InputError(files.motion, "is a PixArt transformer, which has no temporal blocks", REMEDY)
    longest = (temporal.config if temporal else wanted).motion_max_positions
    denoiser = replace(
        base.config,
        in_channels=channels + published.driving_encoder.out_channels,
        temporal_blocks="latte" if temporal else "motion",
        motion_max_positions=longest,
    )
    reference = replace(base.config, out_channels=0, temporal_blocks="none", audio_dim=0)
    config = replace(
        published,
        denoiser=denoiser,
        reference_network=reference,
        vae=vae_arguments(vae_file(files.vae, files.base), published),
        constant_context=context_tokens(files.context, base, published.constant_context).shape[1],
    )
    return base, temporal, config


def _hearing_with(path: Path, config: ModelConfig) -> ModelConfig:
    """The configuration with an audio encoder as its file, or the folder of its training, tells it."""
    ear: AudioEncoderConfig | ConvAudioEncoderConfig
    if path.is_dir():
        ear = trained_ear(path)
    else:
        shapes = open_tensor_file(path).shapes
        named = {name: shape for key, shape in shapes.items() if (name := map_key("audio_encoder", key))}
        try:
            ear = audio_encoder_config(named)
        except KeyError as error:
            problem = f"is {recognise(shapes).description}, not Whisper's"
            raise InputError(path, problem, "Give openai/whisper-tiny") from error
    denoiser = replace(cast(DiTConfig, config.denoiser), audio_dim=ear.width)
    return replace(config, audio_encoder=ear, denoiser=denoiser)


def _public_weights(
    files: HearingFiles,
    base: PublicTransformer,
    temporal: PublicTransformer | None,
    config: ModelConfig,
    expected: Mapping[str, Mapping[str, Shape]],
    new: Mapping[str, Tensor],
) -> tuple[_Sources, _Weights]:
    """Where the weights of all networks but the audio encoder come from, and those that are made here."""
    shapes = expected["denoiser"]
    changed = _input_and_output(base, shapes)
    moving = {key for key in shapes if key.startswith("motion_modules.") and key not in new}
    spatial = shapes.keys() - new.keys() - changed.keys() - moving
    denoiser = fit(base.path, base.sources, shapes, set(spatial), REMEDY)
    if temporal is not None:
        denoiser |= fit(temporal.path, temporal.sources, shapes, moving, REMEDY)
    reference = expected["reference_network"]
    sources: _Sources = {
        "denoiser": denoiser,
        "reference_network": fit(base.path, base.sources, reference, remedy=REMEDY),
        "vae": own_file(vae_file(files.vae, files.base), "vae", expected["vae"]),
    }
    context = {"tokens": context_tokens(files.context, base, config.constant_context)}
    return sources, {"denoiser": {**new, **changed}, "constant_context": context}


def _input_and_output(base: PublicTransformer, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """Input weights with zeros for the driver, and output weights of the prediction without its variance."""
    weight = torch.zeros(shapes[_INPUT])
    known = read(base.sources[_INPUT])
    weight[:, : known.shape[1]] = known
    changed = {_INPUT: weight}
    if base.learns_sigma:
        cells, channels = base.config.cells_per_token, base.config.out_channels
        for name in _OUTPUT:
            rows = read(base.sources[name]).unflatten(0, (cells, 2 * channels))
            changed[name] = rows[:, :channels].flatten(0, 1)
    return changed


def _sound_layers(config: ModelConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Fresh attention to the sound of every block that hears."""
    denoiser = cast(DiTConfig, config.denoiser)
    layers: dict[str, Tensor] = {}
    for index in denoiser.hearing_blocks:
        block = SpatialBlock(f"transformer_blocks.{index}", denoiser, hears=True)
        layers |= _named(block.name, block, dtype, _SOUND)
    return layers


def _motion_modules(config: ModelConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Fresh temporal modules, which do nothing at first."""
    denoiser = cast(DiTConfig, config.denoiser)
    heads, positions = denoiser.num_attention_heads, denoiser.motion_max_positions
    layers: dict[str, Tensor] = {}
    for index in range(denoiser.num_layers // MOTION_INTERVAL):
        module = MotionModule(denoiser.width, heads, positions, MOTION_GROUPS)
        layers |= _named(f"motion_modules.{index}", module, dtype)
    return layers


def _named(
    name: str, module: nn.Module, dtype: torch.dtype, parts: tuple[str, ...] = ("",)
) -> dict[str, Tensor]:
    """Weights of a fresh module under the names they have in the denoiser."""
    state = module.state_dict().items()
    return {f"{name}.{key}": tensor.to(dtype) for key, tensor in state if key.startswith(parts)}
