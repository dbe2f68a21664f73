"""Load a model folder onto a device, checked key by key."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ..errors import InputError
from ..families.registry import FAMILIES
from ..models.config import ModelConfig
from ..models.networks import Networks, build_networks
from ..validation import explain
from .folders import model_names, named_model_folder
from .frozen_base import MOTION, check_base_record, open_joined, read_record
from .layout import check_keys, describe, map_key, recognise
from .tensor_files import TensorFile, is_finite, open_tensor_file


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run.

    Attributes:
        config: what it is made of.
        networks: its networks in evaluation mode, without gradients.
        source: the folder it was read from.
    """

    config: ModelConfig
    networks: Networks
    source: Path


def load_model(
    source: str | os.PathLike[str],
    *,
    config: ModelConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    models_folder: str | os.PathLike[str] | None = None,
    base: str | os.PathLike[str] | None = None,
) -> LoadedModel:
    """Load a model by name or from a model folder.

    Each tensor goes from the file straight to ``device`` and ``dtype``; the weights are never held twice.

    Args:
        source: ``"demo"`` (bundled), ``"megactor"`` (in the models folder) or the path of a model folder
            (``config.json`` and a safetensors file per network, as ``weights convert`` and training write).
        config: of that folder, where it has been read already.
        device: where the weights go.
        dtype: floating-point type of all weights.
        models_folder: where named models are looked up; see ``folders.models_folder``.
        base: Stable Diffusion 1.5 for a folder without one, instead of what it was trained on; see
            ``frozen_base``.

    Raises:
        InputError: unknown or incomplete model; a file that is damaged, of another family, with missing,
            extra or misshapen keys, or with NaN.
    """
    folder = resolve_model(source, models_folder)
    config = config or read_config(folder)
    networks = build_on_meta(config, folder)
    for name, network in networks.items():
        load_network(network, folder, name, torch.device(device), dtype, base)
    if (folder / MOTION).is_file() and base is None:
        record = read_record(folder)
        assert record is not None
        check_base_record(folder, networks.module("denoiser"), Path(record.path))
    if networks.image_encoder is not None:
        # the one buffer that transformers does not store in files
        embeddings = networks.image_encoder.vision_model.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
    return LoadedModel(config, networks, folder)


def resolve_model(
    source: str | os.PathLike[str], models_folder: str | os.PathLike[str] | None = None
) -> Path:
    """Folder of a model given by name or path.

    Raises:
        InputError: unknown name, missing folder, or something that has to be converted first.
    """
    path = Path(source).expanduser()
    if str(source) in model_names():
        folder = named_model_folder(str(source), models_folder)
        if (folder / "config.json").is_file():
            return folder
        if source == "demo":
            raise InputError(source, "the bundled weights are missing", "Install the package again")
        remedy = (
            f"Fetch it with: python -m megactor_core weights download {source}, then: ... weights convert"
        )
        if not FAMILIES[str(source)].is_published:
            remedy = "Nobody published one; train it (docs/training.md) and put its model folder there"
        raise InputError(source, f"is not in {folder.parent}", remedy)
    if path.is_file():
        kind = recognise(open_tensor_file(path).shapes)
        raise InputError(
            path,
            f"is {kind.description}, not a model folder",
            "Give a model folder; python -m megactor_core weights convert makes one",
        )
    if not path.is_dir():
        raise InputError(source, "is no known model", f"Use {', '.join(model_names())} or a model folder")
    if not (path / "config.json").is_file():
        raise InputError(
            path,
            "is not a model folder: it has no config.json",
            "Official weights are converted with: python -m megactor_core weights convert",
        )
    return path


def read_config(folder: Path) -> ModelConfig:
    """Configuration of a model folder.

    Raises:
        InputError: ``config.json`` is missing, no JSON or not a model's.
    """
    path = folder / "config.json"
    try:
        return parse_config(path, path.read_bytes())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check the path") from error


def parse_config(path: Path, text: str | bytes) -> ModelConfig:
    """Configuration in a text of JSON.

    Raises:
        InputError: the text is no JSON or not a model's; it is said of ``path``.
    """
    try:
        return ModelConfig.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        reason = explain(error, ModelConfig) if isinstance(error, ValidationError) else str(error)
        raise InputError(
            path, f"is not the configuration of a model ({reason})", "Convert or download it again"
        ) from error


def build_on_meta(config: ModelConfig, folder: Path) -> Networks:
    """Networks without memory, on the meta device.

    Raises:
        InputError: the configuration contradicts itself.
    """
    try:
        with torch.device("meta"):
            return build_networks(config)
    except InputError as error:
        raise InputError(folder / "config.json", error.problem, error.remedy) from error


def load_network(
    network: nn.Module,
    folder: Path,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    base: str | os.PathLike[str] | None = None,
) -> None:
    """Fill a network, e.g. one from ``build_on_meta``, from its file; it needs no gradients afterwards.

    A denoiser that is kept without its base takes that from ``base``, by default where it was last.

    Raises:
        InputError: as ``load_model``.
    """
    file = open_network_file(folder, name, network, base)
    network.load_state_dict(_read_state(file, device, dtype), assign=True)
    network.requires_grad_(False)


def open_network_file(
    folder: Path, name: str, network: nn.Module, base: str | os.PathLike[str] | None = None
) -> TensorFile:
    """The safetensors file of one network, with exactly the network's keys and shapes.

    Raises:
        InputError: missing, damaged, or the keys do not fit.
    """
    path = folder / f"{name}.safetensors"
    if path.is_file():
        # A folder may be older than the names that its networks have today.
        file = open_tensor_file(path).renamed(partial(map_key, name))
    elif name == "denoiser" and (folder / MOTION).is_file():
        file = open_joined(folder, network, None if base is None else Path(base))
    else:
        raise InputError(path, f"is missing; it holds {describe(name)}", "Convert the model again")
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    check_keys(path, file.shapes, expected, name)
    return file


def _read_state(file: TensorFile, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for key, tensor in file.stream(file.shapes):
        # a copy even on the CPU: weights that stay mapped would change or vanish with the file
        state[key] = tensor.to(device=device, dtype=dtype, copy=True)
        if not is_finite(state[key]):
            raise InputError(
                file.path,
                f"{file.key(key)} holds NaN or values beyond {str(dtype).removeprefix('torch.')}",
                "Use a wider dtype; if it stays so, convert or download the model again",
            )
    return state
