"""What lies around a public transformer: its autoencoder, and a context in the place of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.embeddings import PixArtAlphaTextProjection
from torch import Tensor

from ..errors import InputError
from ..models.config import ModelConfig
from .layout import map_key, recognise
from .official import Source
from .pixart import CAPTIONS
from .pixart_files import PublicTransformer, read_json, weight_files
from .shapes import vae_config
from .tensor_files import open_tensor_file

_CAPTION_INPUT = f"{CAPTIONS}linear_1.weight"
_NULL_CAPTION = "y_embedder.y_embedding"
_VAE_REMEDY = "Give stabilityai/sd-vae-ft-mse with --vae"


def vae_file(named: Path | None, base: Path) -> Path:
    """The autoencoder's file: the one that is named, or that of the pipeline whose folder ``base`` is.

    Raises:
        InputError: there is none.
    """
    place = base / "vae" if named is None else named
    found = weight_files(place) if named is not None or place.is_dir() else []
    if not found:
        raise InputError(named or base, "holds no autoencoder", _VAE_REMEDY)
    return found[0]


def vae_arguments(path: Path, published: ModelConfig) -> dict[str, Any]:
    """Arguments of the autoencoder in a file.

    Raises:
        InputError: it is none, or one for other latents than the published model's.
    """
    shapes = {map_key("vae", key) or key: shape for key, shape in open_tensor_file(path).shapes.items()}
    try:
        found = vae_config(shapes, read_json(path.parent / "config.json"), published.vae)
    except KeyError as error:
        raise InputError(path, f"is {recognise(shapes).description}, no autoencoder", _VAE_REMEDY) from error
    for name in ("latent_channels", "scaling_factor"):
        if found[name] != published.vae[name]:
            problem = f"makes other latents than PixArt-alpha and Latte know ({name} {found[name]})"
            raise InputError(path, problem, _VAE_REMEDY)
    return found


def context_tokens(path: Path | None, base: PublicTransformer, count: int) -> Tensor:
    """Tokens ``(1, tokens, width)`` that stand where a prompt's would.

    Args:
        path: file of a single tensor: T5's embedding, or tokens behind the base's caption projection; or the
            original checkpoint, of which the embedding of left-out captions is read. None: zeros.
        base: the public transformer.
        count: tokens of zero.

    Raises:
        InputError: a file of something else, or tokens of another width.
    """
    width = base.config.cross_attention_dim
    if path is None:
        return torch.zeros(1, count, width)
    file = open_tensor_file(path)
    name = _NULL_CAPTION if _NULL_CAPTION in file.shapes else next(iter(file.shapes))
    if len(file.shapes) > 1 and name != _NULL_CAPTION:
        kind = recognise(file.shapes)
        raise InputError(path, f"is {kind.description}, not one embedding", "Give the empty text's")
    tokens = read(Source(file, name))
    tokens = tokens.reshape(1, -1, tokens.shape[-1])
    captions = {k.removeprefix(CAPTIONS): s for k, s in base.sources.items() if k.startswith(CAPTIONS)}
    embedded = base.sources[_CAPTION_INPUT].shape[1] if _CAPTION_INPUT in base.sources else width
    if tokens.shape[-1] == embedded != width:
        projection = PixArtAlphaTextProjection(embedded, width)
        projection.load_state_dict({key: read(source) for key, source in captions.items()})
        with torch.inference_mode():
            return projection(tokens)
    if tokens.shape[-1] != width:
        problem = (
            f"has tokens of {tokens.shape[-1]} numbers; the base reads {embedded}, or {width} if projected"
        )
        raise InputError(path, problem, "Give T5's embedding of the empty text")
    return tokens


def read(source: Source) -> Tensor:
    """A single tensor, float32."""
    ((_, tensor),) = source.file.stream([source.key])
    return tensor.float().clone()
