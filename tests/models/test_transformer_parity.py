"""The diffusion transformer computes what diffusers' PixArt-alpha and Latte do with the same weights."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from diffusers import LatteTransformer3DModel, PixArtTransformer2DModel
from tiny_pixart import PIXART
from torch import Tensor

from megactor_core.models.dit.config import DiTConfig
from megactor_core.models.dit.transformer import DenoisingTransformer
from megactor_core.weights.pixart import CAPTIONS, transformer_key


def ours(theirs: Mapping[str, Tensor], temporal: str, tokens: Tensor) -> tuple[DenoisingTransformer, Tensor]:
    """Our network with their weights."""
    config = DiTConfig(
        num_layers=PIXART["num_layers"],
        num_attention_heads=4,
        attention_head_dim=16,
        cross_attention_dim=64,
        sample_size=16,
        temporal_blocks=temporal,  # type: ignore[arg-type]
        first_reading_block=PIXART["num_layers"],
    )
    network = DenoisingTransformer(config, None).eval()
    renamed = {}
    for key, tensor in theirs.items():
        name = transformer_key(key)
        if name == "pos_embed.proj.weight":
            tensor = torch.cat([tensor, torch.zeros_like(tensor)], 1)
        if name.startswith("proj_out"):
            tensor = tensor.unflatten(0, (4, 8))[:, :4].flatten(0, 1)
        if not name.startswith(CAPTIONS):
            renamed[name] = tensor
    network.load_state_dict(renamed)
    return network, tokens


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
@torch.inference_mode()
def test_one_frame_is_pixarts(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    theirs = PixArtTransformer2DModel(**PIXART).eval()
    captions, timesteps = torch.randn(2, 5, 12), torch.tensor([700, 40])
    latents = torch.randn(2, 4, *size)
    expected = theirs(latents, captions, timesteps).sample[:, :4]
    network, tokens = ours(theirs.state_dict(), "none", theirs.caption_projection(captions))
    sample = torch.cat([latents, torch.randn(2, 4, *size)], 1)[:, :, None]
    found = network(sample, timesteps, network.context_keys_values(tokens))
    torch.testing.assert_close(found[:, :, 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 4])
@torch.inference_mode()
def test_a_window_is_lattes(frames: int) -> None:
    torch.manual_seed(0)
    theirs = LatteTransformer3DModel(**PIXART, video_length=frames).eval()
    captions, timesteps = torch.randn(2, 5, 12), torch.tensor([700, 40])
    latents = torch.randn(2, 4, frames, 16, 16)
    expected = theirs(latents, timesteps, captions).sample[:, :4]
    network, tokens = ours(theirs.state_dict(), "latte", theirs.caption_projection(captions))
    sample = torch.cat([latents, torch.randn_like(latents)], 1)
    found = network(sample, timesteps, network.context_keys_values(tokens))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    still = network(sample, timesteps, network.context_keys_values(tokens), motion=False)
    alone = theirs(latents, timesteps, captions, enable_temporal_attentions=False).sample[:, :4]
    torch.testing.assert_close(still, alone, atol=1e-5, rtol=0)
