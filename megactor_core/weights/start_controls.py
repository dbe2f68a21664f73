"""Initial weights of X-Portrait's training: its own networks as copies of a base that stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor

from ..errors import InputError
from ..families.family import Family
from ..families.features import has_controls
from ..families.registry import families_with
from ..files import check_output_folder
from ..models.config import ModelConfig
from ..models.networks import CONTROLS
from ..models.sd15.config import HINT_CHANNELS, UNetConfig
from .base_model import spatial_sources
from .empty_text import empty_text_tokens
from .folder_plan import NetworkPlan, OnBytes, write_model_folder
from .frozen_base import BaseRecord, base_sha256
from .layout import Shape
from .loading import build_on_meta, read_config
from .official import Source
from .start_model import autoencoder, fit, fresh_motion, is_trained_motion, network_shapes, own_file
from .tensor_files import TensorFile, open_tensor_file

_TEXT = "cond_stage_model.transformer."
_HINTS = "controlnet_cond_embedding."
_ZERO = ("controlnet_down_blocks.", "controlnet_mid_block.")


@dataclass(frozen=True)
class StartFiles:
    """Files of the weights that training starts from.

    Attributes:
        base: Stable Diffusion 1.5, one checkpoint or its UNet by CompVis' or diffusers' names; or the model
            folder of a small base of one's own.
        motion: AnimateDiff's motion modules for it; None: new ones, which change nothing at first.
        vae: autoencoder by diffusers' names; None: the one in ``base``.
        context: the embedding of the empty text; None: of the text encoder in ``base``.
    """

    base: Path
    motion: Path | None = None
    vae: Path | None = None
    context: Path | None = None


def write_control_start(
    output: Path,
    files: StartFiles,
    *,
    config: ModelConfig | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
    progress: OnBytes | None = None,
) -> None:
    """Write a model folder that X-Portrait's first stage can start from (arXiv 2403.15931, section 3).

    The denoiser is the base with temporal modules, the reference network a copy of it, each ControlNet a copy
    of its encoder and middle. What ControlNets add is 0, and so is what new temporal modules do. The base's
    name and digest are in ``base.json``.

    Args:
        output: folder to make.
        files: the weights.
        config: of the model; by default the published X-Portrait, or that of the base's own folder.
        seed: of what is new.
        dtype: of the written files.
        overwrite: replace an existing ``output``.
        progress: told how far it is.

    Raises:
        InputError: a file that cannot be used or is of another kind or architecture; the output exists or the
            disk is full. Nothing is left behind.
    """
    check_output_folder(output, "config.json", overwrite)
    files, config, name = _resolved(files, config)
    networks = build_on_meta(config, output)
    expected = network_shapes(networks)
    base = open_tensor_file(files.base)
    unet = {key: Source(base, source) for key, source in spatial_sources(base).items()}
    spatial = {key for key in expected["denoiser"] if ".motion_modules." not in key}
    sources: dict[str, Mapping[str, Source]] = {
        "denoiser": fit(files.base, unet, expected["denoiser"], spatial),
        "reference_network": fit(files.base, unet, expected["reference_network"]),
        "vae": autoencoder(base, files.vae, expected["vae"]),
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        computed = _new_weights(config, expected)
    computed["denoiser"] = fresh_motion(config, networks.module("denoiser"), seed=seed)
    if files.motion is not None:
        modules = open_tensor_file(files.motion)
        motion = {key: Source(modules, key) for key in modules.shapes}
        trained = {key for key in expected["denoiser"] if is_trained_motion(key)}
        sources["denoiser"] = {
            **sources["denoiser"],
            **fit(files.motion, motion, expected["denoiser"], trained),
        }
        computed["denoiser"] = {}
    for control in CONTROLS:
        copied = expected[control].keys() - computed[control].keys()
        sources[control] = fit(files.base, unet, expected[control], set(copied))
    if files.context is not None:
        sources["constant_context"] = own_file(
            files.context, "constant_context", expected["constant_context"]
        )
    else:
        computed["constant_context"] = {"tokens": _empty_text(base)}
    plans = {
        network: NetworkPlan(shapes, sources.get(network, {}), computed.get(network, {}))
        for network, shapes in expected.items()
    }

    def finish(folder: Path) -> None:
        BaseRecord(name, base_sha256(_in_order(unet, spatial, expected["denoiser"]))).write(folder)

    write_model_folder(output, plans, config, dtype, progress, finish)


def _family() -> Family:
    """The family whose base stays as it is."""
    return families_with(has_controls)[0]


def _resolved(files: StartFiles, config: ModelConfig | None) -> tuple[StartFiles, ModelConfig, str]:
    """Files one by one, the configuration, and the base's name."""
    folder = files.base
    if not folder.is_dir():
        return files, config or _family().config, folder.name
    own = read_config(folder)
    if own.family != _family().name or not isinstance(own.denoiser, UNetConfig):
        raise InputError(
            folder, f"is a model of {own.family}, no base of {_family().name}",
            f"Train one with configs/train/demo_{_family().name}_base.yaml",
        )  # fmt: skip
    found = StartFiles(
        folder / "denoiser.safetensors",
        files.motion,
        files.vae or folder / "vae.safetensors",
        files.context or folder / "constant_context.safetensors",
    )
    denoiser = replace(own.denoiser, motion_modules=True)
    resolved = folder.resolve()
    return found, config or replace(own, denoiser=denoiser), f"{resolved.parent.name}/{resolved.name}"


def _new_weights(
    config: ModelConfig, expected: Mapping[str, Mapping[str, Shape]]
) -> dict[str, dict[str, Tensor]]:
    """Weights of ControlNets that no file holds: hint encoders, convolutions of zero."""
    assert config.control_network is not None
    computed: dict[str, dict[str, Tensor]] = {}
    for control in CONTROLS:
        hints = ControlNetConditioningEmbedding(
            config.control_network.block_out_channels[0], block_out_channels=HINT_CHANNELS
        )
        computed[control] = {f"{_HINTS}{key}": tensor for key, tensor in hints.state_dict().items()}
        zeros = {key: shape for key, shape in expected[control].items() if key.startswith(_ZERO)}
        computed[control] |= {key: torch.zeros(shape) for key, shape in zeros.items()}
    return computed


def _in_order(
    unet: Mapping[str, Source], names: set[str], shapes: Mapping[str, Shape]
) -> Iterator[tuple[str, Tensor]]:
    ordered = sorted(names)
    file = unet[ordered[0]].file
    for name, (_, tensor) in zip(ordered, file.stream([unet[name].key for name in ordered]), strict=True):
        yield name, tensor.reshape(shapes[name])


def _empty_text(base: TensorFile) -> Tensor:
    shapes = {key.removeprefix(_TEXT): shape for key, shape in base.shapes.items() if key.startswith(_TEXT)}
    shapes = {key: shape for key, shape in shapes.items() if not key.endswith(".position_ids")}
    if not shapes:
        raise InputError(base.path, "holds no text encoder", "Give the empty text's embedding with --context")

    def stream(wanted: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        return ((key.removeprefix(_TEXT), one) for key, one in base.stream([_TEXT + key for key in wanted]))

    return empty_text_tokens(shapes, stream)
