"""PixArt-alpha and Latte as they are published: which files they are, and the configuration they tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..models.dit.config import DiTConfig
from .layout import first_few, recognise
from .official import Source
from .pixart import transformer_key
from .tensor_files import open_tensor_file

REMEDY = "Give the transformer of PixArt-alpha/PixArt-XL-2-512x512 or of maxin-cn/Latte-1"

_WEIGHTS = "diffusion_pytorch_model"
_SIZE_CONDITIONS = ".resolution_embedder."
_LARGEST_SAMPLE = 64
_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")


@dataclass(frozen=True)
class PublicTransformer:
    """A published transformer.

    Attributes:
        path: its file or folder.
        sources: where its tensors are, by our names.
        config: what shapes and ``config.json`` tell of it; its output is the prediction alone.
        learns_sigma: whether the file predicts a variance besides, which nothing here reads.
    """

    path: Path
    sources: Mapping[str, Source]
    config: DiTConfig
    learns_sigma: bool

    @property
    def is_temporal(self) -> bool:
        """Whether it has blocks over the frames."""
        return self.config.temporal_blocks != "none"


def weight_files(path: Path) -> list[Path]:
    """Weight files of a network of diffusers: a file is its own, a folder may have several (shards).

    Raises:
        InputError: the list of shards is damaged.
    """
    if not path.is_dir():
        return [path]
    for index in sorted(path.glob(f"{_WEIGHTS}*.index.json")):
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict) or not names:
            raise InputError(index, "lists no files of weights", "Download it again")
        return [path / name for name in sorted(set(map(str, names.values())))]
    found = [*sorted(path.glob(f"{_WEIGHTS}*.safetensors")), *sorted(path.glob(f"{_WEIGHTS}*.bin"))]
    return found[:1]


def transformer_folder(path: Path) -> Path:
    """The folder ``transformer`` of a whole pipeline's; other paths as they are."""
    return path / "transformer" if (path / "transformer").is_dir() else path


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object beside weights; empty where there is none.

    Raises:
        InputError: it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, "is not valid JSON", "Download it again") from error
    return content if isinstance(content, dict) else {}


def open_transformer(path: Path, published: DiTConfig, latent_channels: int) -> PublicTransformer:
    """Open a transformer of PixArt-alpha's or Latte's.

    Args:
        path: a file, or a folder as diffusers writes it: of the network or of the whole pipeline.
        published: the published model's denoiser; what the files do not tell is taken from it.
        latent_channels: channels of the latents that it has to be for.

    Raises:
        InputError: a file that is damaged, missing or of another kind, size or latent space.
    """
    place = transformer_folder(path)
    files = [open_tensor_file(file) for file in weight_files(place)]
    if not files:
        raise InputError(path, "holds no weights of a transformer", REMEDY)
    keys = [key for file in files for key in file.shapes]
    kind = recognise(keys)
    if kind.name not in ("pixart", "latte"):
        raise InputError(path, f"is {kind.description}, not a PixArt-alpha or Latte transformer", REMEDY)
    folder = place if place.is_dir() else place.parent
    told = read_json(folder / "config.json")
    told = told if "num_attention_heads" in told else {}
    _refuse_other_versions(path, folder, keys, told)
    sources = {transformer_key(key): Source(file, key) for file in files for key in file.shapes}
    try:
        config, outputs = _config(path, sources, told, published)
    except (KeyError, ValueError) as error:
        problem = f"is {kind.description}; it lacks {error}"
        raise InputError(path, problem, "Download it again") from error
    except (TypeError, ZeroDivisionError) as error:
        raise InputError(folder / "config.json", "is damaged", "Download it again") from error
    if config.in_channels != latent_channels:
        problem = f"takes latents of {config.in_channels} channels, not {latent_channels}"
        raise InputError(path, f"is {kind.description} that {problem}", REMEDY)
    if outputs not in (latent_channels, 2 * latent_channels):
        raise InputError(path, f"is {kind.description} that predicts {outputs} channels", REMEDY)
    return PublicTransformer(path, sources, config, outputs > latent_channels)


def _refuse_other_versions(path: Path, folder: Path, keys: Iterable[str], told: Mapping[str, Any]) -> None:
    """Raises InputError for versions with the same layers, where a file beside the weights tells of it."""
    if any(_SIZE_CONDITIONS in f".{key}" for key in keys):
        raise InputError(path, "is PixArt-alpha for 1024 pixels, which also reads the picture's size", REMEDY)
    pipeline = str(read_json(folder.parent / "model_index.json").get("_class_name"))
    if "Sigma" in pipeline or told.get("sample_size", 0) > _LARGEST_SAMPLE:
        raise InputError(path, "is PixArt-Sigma, whose latents are of another autoencoder (SDXL's)", REMEDY)


def _config(
    path: Path, sources: Mapping[str, Source], told: Mapping[str, Any], published: DiTConfig
) -> tuple[DiTConfig, int]:
    """The configuration, and how many channels it predicts."""
    shapes = {name: source.shape for name, source in sources.items()}
    width, channels, patch, _ = shapes["pos_embed.proj.weight"]
    blocks = {int(match[1]) for name in shapes if (match := _BLOCK.match(name))}
    heads = told.get("num_attention_heads", published.num_attention_heads)
    if not told and width != published.width:
        problem = f"is {width} wide; how many heads share that stands in config.json, which is not beside it"
        raise InputError(path, problem, "Give the folder that has both")
    if blocks != set(range(len(blocks))):
        raise KeyError(f"blocks: it has {first_few([str(number) for number in sorted(blocks)])}")
    alike = len(blocks) == published.num_layers
    temporal = "motion_modules.0.attn1.to_q.weight" in shapes
    config = replace(
        published,
        in_channels=channels,
        out_channels=channels,
        patch_size=patch,
        num_layers=len(blocks),
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        cross_attention_dim=shapes["transformer_blocks.0.attn2.to_k.weight"][1],
        sample_size=told.get("sample_size", published.sample_size),
        temporal_blocks="latte" if temporal else "none",
        motion_max_positions=told.get("video_length", published.motion_max_positions),
        first_reading_block=published.first_reading_block if alike else len(blocks) // 3,
    )
    return config, shapes["proj_out.weight"][0] // patch**2
