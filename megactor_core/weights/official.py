"""Find the files of the officially published folder layout and plan which tensor comes from where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..families.family import Family
from ..families.registry import FAMILIES, default_family
from ..models.config import ModelConfig
from .catalogue import catalogue, find_known
from .empty_text import num_text_tokens
from .layout import (
    Shape,
    describe,
    first_few,
    map_key,
    recognise,
    reconcile_shape,
    split_checkpoint,
)
from .loading import parse_config
from .shapes import (
    audio_encoder_config,
    driving_encoder_config,
    image_encoder_config,
    unet_config,
    vae_config,
)
from .tensor_files import TensorFile, open_tensor_file

CONFIG_ENTRY = "megactor_config"
"""Entry in the header of a checkpoint that is a whole model: its ``config.json``."""
CHECKPOINT_SUFFIXES = (".ckpt", ".th", ".pth", ".pt", ".bin", ".safetensors")
WEIGHT_NAMES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)


@dataclass(frozen=True)
class Source:
    """Source of one tensor."""

    file: TensorFile
    key: str

    @property
    def shape(self) -> Shape:
        return self.file.shapes[self.key]


@dataclass(frozen=True)
class OfficialFiles:
    """The opened files of the layout.

    Attributes:
        family: whose weights they are.
        root: the folder that holds them.
        checkpoint: the training checkpoint.
        sources: per network, our key name -> where the tensor is.
        from_base: per network, names that the checkpoint lacks and the starting weights have.
        configs: per network, its published ``config.json``; empty if there is none.
        ignored: names in the checkpoint that no network uses.
        text_encoder: the checkpoint's text encoder, of which only the embedding of the empty text is needed.
        choice: which of several copies of the weights in the checkpoint was taken.
    """

    family: Family
    root: Path
    checkpoint: Path
    sources: Mapping[str, Mapping[str, Source]]
    from_base: Mapping[str, frozenset[str]] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    text_encoder: Mapping[str, Source] = field(default_factory=dict)
    choice: str = ""

    def shapes(self, network: str) -> dict[str, Shape]:
        """Shapes of a network's tensors as published."""
        return {name: source.shape for name, source in self.sources[network].items()}


def find_official_files(folder: Path, checkpoint: Path | None = None) -> OfficialFiles:
    """Open the official layout below ``folder``: ``weights/``, the repository that holds it, or a checkpoint.

    A key that the checkpoint lacks is taken from the weights that training started from
    (``StableDiffusion/unet``, ``appearance_encoder/appearance_encoder``), as the reference implementation
    does by loading these first. The VAE is the one in ``sd-vae-ft-mse``; a copy inside the checkpoint is
    used only without that folder.

    Raises:
        InputError: a file is missing, damaged or of another kind.
    """
    if folder.is_file():
        folder, checkpoint = folder.parent, folder
    root = folder / "weights" if (folder / "weights").is_dir() else folder
    if not root.is_dir():
        raise InputError(folder, "there is no such folder", "Give the folder that holds the official weights")
    family, main = _open_checkpoint(root, checkpoint)
    split = split_checkpoint(main.shapes, family.layout)
    if split.unexpected:
        problem = f"has unknown keys: {first_few([main.key(name) for name in split.unexpected])}"
        raise InputError(main.path, problem, "Give another checkpoint")
    text = {name: Source(main, key) for name, key in split.networks.get("text_encoder", {}).items()}
    sources: dict[str, dict[str, Source]] = {}
    from_base: dict[str, frozenset[str]] = {}
    for network, places in family.places.items():
        trained = {name: Source(main, key) for name, key in split.networks.get(network, {}).items()}
        file = _weight_file(root, places)
        if network in family.own_files and file is not None:
            trained = {}
        needs_base = network not in family.own_files or not trained
        base = _open_network(file, network) if file is not None and needs_base else {}
        sources[network] = {**base, **trained}
        from_base[network] = frozenset(base.keys() - trained.keys())
        if not (sources[network] or family.layout.whole or (network == "constant_context" and text)):
            raise _missing(root, family, network)
    configs = {network: _published_config(root, places) for network, places in family.places.items()}
    return OfficialFiles(
        family, root, main.path, sources, from_base, configs, split.ignored, text, main.choice
    )


def _missing(root: Path, family: Family, network: str) -> InputError:
    names = {row.name for row in catalogue()}
    name = f"{family.name}-{network.replace('_', '-')}"
    row = find_known(name if name in names else f"{family.name}-checkpoint")[0]
    return InputError(
        root / (family.places[network] or ("",))[0],
        f"holds no weights of {describe(network)}",
        f"Put {row.address} there, or fetch all files with: "
        f"python -m megactor_core weights download {row.family}",
    )


def infer_config(files: OfficialFiles) -> ModelConfig:
    """The model's configuration, from the shapes of its weights and the published configurations.

    Raises:
        InputError: the weights lack a layer that every such model has.
    """
    if files.family.layout.whole:
        file = next(iter(files.sources["denoiser"].values())).file
        if CONFIG_ENTRY not in file.metadata:
            problem = "does not tell its configuration, which weights export writes into the header"
            raise InputError(file.path, problem, "Export the model folder again")
        return parse_config(file.path, file.metadata[CONFIG_ENTRY])
    published, configs = files.family.config, files.configs
    shapes = {network: files.shapes(network) for network in files.sources}
    reference_base = configs["reference_network"] or configs["denoiser"]
    values: dict[str, Any] = {}
    try:
        values["denoiser"] = unet_config(shapes["denoiser"], configs["denoiser"], published.denoiser)
        if published.driving_encoder is not None:
            values["driving_encoder"] = driving_encoder_config(shapes["denoiser"], published.driving_encoder)
        values["reference_network"] = unet_config(
            shapes["reference_network"], reference_base, published.reference_network
        )
        if published.control_network is not None:
            control = unet_config(shapes["face_control"], configs["denoiser"], published.control_network)
            values["control_network"] = control
        values["vae"] = vae_config(shapes["vae"], configs["vae"], published.vae)
        if published.image_encoder is not None:
            values["image_encoder"] = image_encoder_config(
                shapes["image_encoder"], configs["image_encoder"], published.image_encoder
            )
        if files.text_encoder:
            text = {name: source.shape for name, source in files.text_encoder.items()}
            values["constant_context"] = num_text_tokens(text)
        elif "constant_context" in shapes:
            values["constant_context"] = shapes["constant_context"]["tokens"][-2]
        if "audio_encoder" in shapes:
            values["audio_encoder"] = audio_encoder_config(shapes["audio_encoder"])
    except (KeyError, IndexError) as error:
        raise InputError(
            files.checkpoint, f"the weights have no layer {error}", "Give the complete official weights"
        ) from error
    return replace(published, **values)


def fit_sources(files: OfficialFiles, network: str, expected: Mapping[str, Shape]) -> dict[str, Source]:
    """Sources of exactly the expected keys; position tables (``.pe``) may be missing, they are recomputed.

    Raises:
        InputError: missing, extra or misshapen keys.
    """
    sources = files.sources.get(network, {})
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
        subject = next((source.file.path for source in sources.values()), files.checkpoint)
        raise InputError(
            subject, f"does not fit {describe(network)}; " + "; ".join(problems), "Give the official weights"
        )
    return {name: sources[name] for name in expected if name in sources}


def _open_checkpoint(root: Path, checkpoint: Path | None) -> tuple[Family, TensorFile]:
    if checkpoint is not None:
        return _family_of(open_tensor_file(checkpoint))
    candidates = sorted(p for p in root.iterdir() if p.suffix in CHECKPOINT_SUFFIXES and p.is_file())
    if not candidates:
        family = next((f for f in FAMILIES.values() if root.match(f.folder)), default_family())
        remedy = f"Fetch it into {family.folder} with: python -m megactor_core weights download {family.name}"
        if not family.is_published:
            remedy = "Nobody published one; train it (docs/training.md)"
        raise InputError(root, "holds no checkpoint", remedy)
    if len(candidates) == 1:
        return _family_of(open_tensor_file(candidates[0]))
    fitting = []
    for path in candidates:
        # Other files beside the checkpoint may be of any kind, and are not ours to judge.
        with suppress(InputError):
            fitting.append(_family_of(open_tensor_file(path)))
    if len(fitting) != 1:
        names = ", ".join(path.name for path in candidates)
        raise InputError(
            root, f"holds {len(fitting)} known checkpoints among {names}", "Name one with --checkpoint"
        )
    return fitting[0]


def _family_of(file: TensorFile) -> tuple[Family, TensorFile]:
    kind = recognise(file.shapes)
    family = FAMILIES.get(kind.name)
    if family is None:
        known = " or ".join(describe(name) for name in FAMILIES)
        raise InputError(file.path, f"is {kind.description}, not {known}", "Give the right file")
    return family, file


OWN_KINDS = {"vae": "vae", "image_encoder": "image_encoder", "audio_encoder": "whisper"}
"""Kind of the file that a network of its own is published in."""


def _open_network(path: Path, network: str) -> dict[str, Source]:
    file = open_tensor_file(path)
    kind, expected = recognise(file.shapes), OWN_KINDS.get(network)
    if expected is not None and kind.name != expected:
        raise InputError(path, f"is {kind.description}, not {describe(expected)}", "Give the right file")
    return {name: Source(file, key) for key in file.shapes if (name := map_key(network, key))}


def _weight_file(root: Path, places: Iterable[str]) -> Path | None:
    candidates = (root / place / name for place in places for name in ("", *WEIGHT_NAMES))
    return next((path for path in candidates if path.is_file()), None)


def _published_config(root: Path, places: Iterable[str]) -> dict[str, Any]:
    path = next((path for place in places if (path := root / place / "config.json").is_file()), None)
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, "is not valid JSON", "Download it again") from error
    return config if isinstance(config, dict) else {}
