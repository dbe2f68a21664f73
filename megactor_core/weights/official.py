"""Find the files of the officially published folder layout and plan which tensor comes from where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..models.config import ModelConfig
from .catalogue import OFFICIAL_FOLDERS, find_known
from .layout import (
    Shape,
    describe,
    first_few,
    map_key,
    recognise,
    reconcile_shape,
    split_checkpoint,
)
from .shapes import driving_encoder_config, image_encoder_config, unet_config, vae_config
from .tensor_files import TensorFile, open_tensor_file

FOLDERS = {
    "denoiser": "StableDiffusion/unet",
    "reference_network": "appearance_encoder/appearance_encoder",
    "vae": "sd-vae-ft-mse",
    "image_encoder": "StableDiffusion/image_encoder",
}
"""Folder of each network beside the checkpoint; the first two hold the weights training started from."""

CHECKPOINT_SUFFIXES = (".ckpt", ".pth", ".pt", ".bin", ".safetensors")
WEIGHT_NAMES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)


@dataclass(frozen=True)
class Source:
    """Where one tensor comes from."""

    file: TensorFile
    key: str

    @property
    def shape(self) -> Shape:
        return self.file.shapes[self.key]


@dataclass(frozen=True)
class OfficialFiles:
    """The opened files of the layout.

    Attributes:
        root: the folder that holds them.
        checkpoint: the training checkpoint.
        sources: per network, our key name -> where the tensor is.
        from_base: per network, names that the checkpoint lacks and the starting weights have.
        configs: per network, its published ``config.json``; empty if there is none.
        ignored: names in the checkpoint that no network uses.
    """

    root: Path
    checkpoint: Path
    sources: Mapping[str, Mapping[str, Source]]
    from_base: Mapping[str, frozenset[str]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def shapes(self, network: str) -> dict[str, Shape]:
        """Shapes of a network's tensors as published."""
        return {name: source.shape for name, source in self.sources[network].items()}


def find_official_files(folder: Path, checkpoint: Path | None = None) -> OfficialFiles:
    """Open the official layout below ``folder``, which is ``weights/`` or the repository that holds it.

    A key that the checkpoint lacks is taken from the weights that training started from
    (``StableDiffusion/unet``, ``appearance_encoder/appearance_encoder``), as the reference implementation
    does by loading these first. The VAE is the one in ``sd-vae-ft-mse``; a copy inside the checkpoint is
    used only without that folder.

    Raises:
        InputError: a file is missing, damaged or of another family.
    """
    root = folder / "weights" if (folder / "weights").is_dir() else folder
    if not root.is_dir():
        raise InputError(folder, "there is no such folder", "Give the folder that holds the official weights")
    main = _open_checkpoint(root, checkpoint)
    split = split_checkpoint(main.shapes)
    if split.unexpected:
        problem = f"has unknown keys: {first_few(split.unexpected)}"
        raise InputError(main.path, problem, "Give another checkpoint")
    sources: dict[str, dict[str, Source]] = {}
    from_base: dict[str, frozenset[str]] = {}
    for network, place in FOLDERS.items():
        trained = {name: Source(main, key) for name, key in split.networks.get(network, {}).items()}
        if network == "vae" and _weight_file(root / place):
            trained = {}
        base = {} if network == "vae" and trained else _open_network(root / place, network)
        sources[network] = {**base, **trained}
        from_base[network] = frozenset(base.keys() - trained.keys())
        if not sources[network]:
            row = find_known({"vae": "megactor-vae"}.get(network, "megactor-image-encoder"))[0]
            raise InputError(
                root / place,
                f"holds no weights of {describe(network)}",
                f"Put {row.address} there, or fetch all files with: "
                f"python -m megactor_core weights download {row.family}",
            )
    configs = {network: _published_config(root / place) for network, place in FOLDERS.items()}
    return OfficialFiles(root, main.path, sources, from_base, configs, split.ignored)


def infer_config(files: OfficialFiles) -> ModelConfig:
    """The model's configuration, from the shapes of its weights and the published configurations.

    Raises:
        InputError: the weights lack a layer that every such model has.
    """
    shapes = {network: files.shapes(network) for network in FOLDERS}
    base = files.configs["denoiser"]
    reference_base = files.configs["reference_network"] or base
    try:
        return ModelConfig(
            denoiser=unet_config(shapes["denoiser"], base),
            driving_encoder=driving_encoder_config(shapes["denoiser"]),
            reference_network=unet_config(shapes["reference_network"], reference_base),
            vae=vae_config(shapes["vae"], files.configs["vae"]),
            image_encoder=image_encoder_config(shapes["image_encoder"], files.configs["image_encoder"]),
        )
    except KeyError as error:
        raise InputError(
            files.checkpoint, f"the weights have no layer {error}", "Give the complete official weights"
        ) from error


def fit_sources(files: OfficialFiles, network: str, expected: Mapping[str, Shape]) -> dict[str, Source]:
    """Sources of exactly the expected keys; position tables (``.pe``) may be missing, they are recomputed.

    Raises:
        InputError: missing, extra or misshapen keys.
    """
    sources = files.sources[network]
    extra = [name for name in sources if name not in expected and name not in files.from_base[network]]
    missing = [name for name in expected if name not in sources and not name.endswith(".pos_encoder.pe")]
    misshapen = [
        f"{name} {list(sources[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in sources and not reconcile_shape(sources[name].shape, shape)
    ]
    problems = [
        f"{len(names)} keys {what}: {first_few(names)}"
        for what, names in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if names
    ]
    if problems:
        subject = next(iter(sources.values())).file.path
        raise InputError(
            subject, f"does not fit {describe(network)}; " + "; ".join(problems), "Give the official weights"
        )
    return {name: sources[name] for name in expected if name in sources}


def _open_checkpoint(root: Path, checkpoint: Path | None) -> TensorFile:
    if checkpoint is not None:
        return _expect(open_tensor_file(checkpoint), "megactor")
    candidates = sorted(p for p in root.iterdir() if p.suffix in CHECKPOINT_SUFFIXES and p.is_file())
    if not candidates:
        place = OFFICIAL_FOLDERS["megactor"]
        raise InputError(
            root,
            "holds no checkpoint",
            f"Fetch it into {place} with: python -m megactor_core weights download megactor",
        )
    if len(candidates) == 1:
        return _expect(open_tensor_file(candidates[0]), "megactor")
    opened = [open_tensor_file(path) for path in candidates]
    fitting = [file for file in opened if recognise(file.shapes).name == "megactor"]
    if len(fitting) != 1:
        names = ", ".join(path.name for path in candidates)
        raise InputError(
            root, f"holds {len(fitting)} MegActor checkpoints among {names}", "Name one with --checkpoint"
        )
    return fitting[0]


def _expect(file: TensorFile, name: str) -> TensorFile:
    kind = recognise(file.shapes)
    if kind.name != name:
        raise InputError(file.path, f"is {kind.description}, not {describe(name)}", "Give the right file")
    return file


def _open_network(folder: Path, network: str) -> dict[str, Source]:
    path = _weight_file(folder)
    if path is None:
        return {}
    file = open_tensor_file(path)
    if network in ("vae", "image_encoder"):
        _expect(file, network)
    return {name: Source(file, key) for key in file.shapes if (name := map_key(network, key))}


def _weight_file(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHT_NAMES if (folder / name).is_file()), None)


def _published_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, "is not valid JSON", "Download it again") from error
    return config if isinstance(config, dict) else {}
