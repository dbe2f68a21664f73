"""Initial weights of training from scratch: Stable Diffusion 1.5 and AnimateDiff in MegActor's networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..families.registry import default_family
from ..files import check_output_folder
from ..models.config import ModelConfig
from ..models.driving_encoder import DrivingEncoder
from ..models.networks import Networks
from ..models.sd15.config import UNetConfig
from ..models.temporal import MotionModule
from .base_model import spatial_sources
from .compvis import vae_key
from .folder_plan import NetworkPlan, OnBytes, write_model_folder
from .layout import Shape, describe, first_few, map_key, recognise, reconcile_shape
from .loading import build_on_meta
from .official import OWN_KINDS, Source
from .tensor_files import TensorFile, open_tensor_file

_INPUT = "conv_in.weight"
_DRIVING = "condition_input_layer."
_AUTOENCODER = "first_stage_model."


def write_start_model(
    output: Path,
    base: Path,
    motion: Path,
    image_encoder: Path,
    vae: Path | None = None,
    *,
    config: ModelConfig | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: OnBytes | None = None,
) -> None:
    """Write a model folder that stage 1 can start from, as MegActor's did (arXiv 2405.20851).

    Denoiser and reference network get the UNet of ``base``, the temporal modules those of ``motion``. New are
    the encoder of driving frames, drawn from ``seed``, and the input weights of the channels that Stable
    Diffusion does not have, which are 0.

    Args:
        output: folder to make.
        base: Stable Diffusion 1.5: one checkpoint, or its UNet by CompVis' or diffusers' names.
        motion: AnimateDiff's motion modules for it, e.g. ``v3_sd15_mm.ckpt``.
        image_encoder: CLIP ViT-L/14 with its projection, by transformers' names.
        vae: autoencoder by diffusers' names; by default the one in ``base``.
        config: of the model; by default the published one of the first family.
        seed: of what is new.
        dtype: of the written files.
        overwrite: replace an existing ``output``.
        progress: told how far it is.

    Raises:
        InputError: a file that cannot be used or is of another kind or architecture; the output exists or the
            disk is full. Nothing is left behind.
    """
    check_output_folder(output, "config.json", overwrite)
    config = config or default_family().config
    expected = network_shapes(build_on_meta(config, output))
    spatial, modules = open_tensor_file(base), open_tensor_file(motion)
    unet = {name: Source(spatial, key) for name, key in spatial_sources(spatial).items()}
    temporal = {key: Source(modules, key) for key in modules.shapes}
    computed = input_weights(config, unet, expected["denoiser"], seed)
    keys = expected["denoiser"].keys() - computed.keys()
    sources = {
        "denoiser": {
            **fit(base, unet, expected["denoiser"], {key for key in keys if ".motion_modules." not in key}),
            **fit(motion, temporal, expected["denoiser"], {key for key in keys if is_trained_motion(key)}),
        },
        "reference_network": fit(base, unet, expected["reference_network"]),
        "vae": autoencoder(spatial, vae, expected["vae"]),
        "image_encoder": own_file(image_encoder, "image_encoder", expected["image_encoder"]),
    }
    plans = {
        name: NetworkPlan(shapes, sources[name], computed if name == "denoiser" else {})
        for name, shapes in expected.items()
    }
    write_model_folder(output, plans, config, dtype, progress)


def network_shapes(networks: Networks) -> dict[str, dict[str, Shape]]:
    """Names and shapes of the weights of every network."""
    return {
        name: {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        for name, network in networks.items()
    }


def fresh_motion(
    config: ModelConfig, denoiser: nn.Module, prefix: str = "", *, seed: int
) -> dict[str, Tensor]:
    """Weights of new temporal modules, which do nothing at first, by their names in a denoiser.

    Args:
        config: of the model.
        denoiser: on any device.
        prefix: of the names of those that are wanted.
        seed: of the weights.
    """
    unet = cast(UNetConfig, config.denoiser)
    weights: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for name, module in denoiser.named_modules():
            if isinstance(module, MotionModule) and name.startswith(prefix):
                width = module.temporal_transformer.proj_in.in_features
                heads, groups = unet.num_attention_heads, unet.norm_num_groups
                fresh = MotionModule(width, heads, unet.motion_max_positions, groups)
                weights |= {f"{name}.{key}": tensor for key, tensor in fresh.state_dict().items()}
    return weights


def is_trained_motion(key: str) -> bool:
    """Whether a weight of temporal modules comes from their file."""
    # Position tables are computed: those of other lengths than the model's would not fit.
    return ".motion_modules." in key and not key.endswith(".pos_encoder.pe")


def input_weights(
    config: ModelConfig, unet: Mapping[str, Source], expected: Mapping[str, Shape], seed: int
) -> dict[str, Tensor]:
    """Weights of the denoiser that no file holds."""
    assert config.driving_encoder is not None
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        encoder = DrivingEncoder(config.driving_encoder)
    computed = {f"{_DRIVING}{name}": tensor for name, tensor in encoder.state_dict().items()}
    source = unet.get(_INPUT)
    if source is not None:  # what is missing is told of all keys together
        ((_, known),) = source.file.stream([source.key])
        weight = torch.zeros(expected[_INPUT])
        if known.shape[0] == weight.shape[0] and known.shape[2:] == weight.shape[2:]:
            weight[:, : known.shape[1]] = known
            computed[_INPUT] = weight
    return computed


def fit(
    path: Path,
    sources: Mapping[str, Source],
    expected: Mapping[str, Shape],
    keys: set[str] | None = None,
    remedy: str = "Give weights for Stable Diffusion 1.5",
) -> dict[str, Source]:
    """Sources of the expected keys, all of them or some."""
    wanted = {key: shape for key, shape in expected.items() if keys is None or key in keys}
    missing = [key for key in wanted if key not in sources]
    misshapen = [
        key
        for key, shape in wanted.items()
        if key in sources and not reconcile_shape(sources[key].shape, shape)
    ]
    if missing or misshapen:
        kind = recognise(source.key for source in sources.values())
        problem = f"is of another width: {first_few(misshapen)}"
        if missing:
            problem = f"lacks {len(missing)} keys: {first_few(missing)}"
        raise InputError(path, f"is {kind.description}; it {problem}", remedy)
    return {key: sources[key] for key in wanted}


def autoencoder(base: TensorFile, vae: Path | None, expected: Mapping[str, Shape]) -> dict[str, Source]:
    """Sources of the autoencoder: a file of its own, or the one inside the base."""
    if vae is not None:
        return own_file(vae, "vae", expected)
    levels = sum(key.endswith(".resnets.0.norm1.weight") and ".up_blocks." in key for key in expected)
    named = {
        key: vae_key(key.removeprefix(_AUTOENCODER), levels)
        for key in base.shapes
        if key.startswith(_AUTOENCODER)
    }
    if not named:
        raise InputError(base.path, "holds no autoencoder", "Give one with --vae")
    return fit(base.path, {name: Source(base, key) for key, name in named.items() if name}, expected)


def own_file(path: Path, network: str, expected: Mapping[str, Shape]) -> dict[str, Source]:
    """Sources of a network that has a file of its own."""
    file = open_tensor_file(path)
    kind = recognise(file.shapes)
    known = (network, OWN_KINDS.get(network))
    if kind.name not in known and not (network == "constant_context" and len(file.shapes) == 1):
        raise InputError(path, f"is {kind.description}, not {describe(network)}", "Give the right file")
    return fit(
        path, {name: Source(file, key) for key in file.shapes if (name := map_key(network, key))}, expected
    )
