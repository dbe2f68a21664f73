"""Frames hear their own moment: rows without sound hear zeros, and weights count per frame."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.families.megactor_sigma_dit import CONFIG as MEGACTOR_SIGMA_DIT
from megactor_core.models.attention import Pass, project
from megactor_core.models.denoiser import KeyValues, gather_rows
from megactor_core.models.networks import build_networks
from megactor_core.weights.random_model import tiny_config

FRAMES = 5


@pytest.fixture(scope="module", params=[MEGACTOR_SIGMA, MEGACTOR_SIGMA_DIT], ids=["unet", "dit"])
def sigma(request):  # type: ignore[no-untyped-def]
    """Tiny networks, a sample of one clip, timestep, keys and values of context, reference and sound."""
    torch.manual_seed(0)
    config = tiny_config(request.param)
    networks = build_networks(config)
    for parameter in networks.denoiser.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.05)
    denoiser, width = networks.denoiser, config.denoiser.cross_attention_dim
    with torch.inference_mode():
        text, timestep = torch.randn(1, 7, width), torch.tensor([400])
        latents = torch.randn(1, 4, 8, 8)
        reference = networks.reference_network
        bank = reference(latents, timestep, reference.context_keys_values(text))
        yield (
            denoiser,
            torch.randn(1, 8, FRAMES, 8, 8),
            timestep,
            denoiser.context_keys_values(text),
            denoiser.reference_keys_values(bank),
            torch.randn(FRAMES, 50, config.denoiser.audio_dim),
        )


@pytest.mark.parametrize("weight", [1.0, torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])])
def test_both_rows_in_one_pass_are_what_two_passes_give(sigma, weight) -> None:  # type: ignore[no-untyped-def]
    denoiser, sample, timestep, context, reference, sound = sigma
    heard = denoiser.audio_keys_values(sound)
    silent = denoiser.audio_keys_values(torch.zeros_like(sound))
    options = {"audio_weight": weight}
    with torch.inference_mode():
        unconditional = denoiser(sample, timestep, context, audio=silent, **options)
        conditional = denoiser(sample, timestep, context, reference, audio=heard, **options)
        for clips in (sample, sample.expand(2, -1, -1, -1, -1)):
            rows = denoiser(
                clips, timestep, context, reference, rows=2, conditional_rows=1, audio=heard, **options
            )
            torch.testing.assert_close(rows, torch.cat([unconditional, conditional]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(unconditional, conditional, atol=1e-3)


def test_no_sound_is_a_sound_of_zeros(sigma) -> None:  # type: ignore[no-untyped-def]
    denoiser, sample, timestep, context, _, sound = sigma
    silent = denoiser.audio_keys_values(torch.zeros_like(sound))
    with torch.inference_mode():
        torch.testing.assert_close(
            denoiser(sample, timestep, context),
            denoiser(sample, timestep, context, audio=silent),
            atol=1e-5,
            rtol=1e-4,
        )


def test_a_weight_per_frame_acts_on_its_frame(sigma) -> None:  # type: ignore[no-untyped-def]
    denoiser, _, _, _, _, sound = sigma
    block = next(block for block in denoiser.attending_blocks().values() if block.hears)
    tokens = torch.randn(FRAMES, 6, block.norm_audio.normalized_shape[0])
    shared = Pass(
        FRAMES, torch.empty(0), {}, conditional_rows=1, audio={block.name: project(block.attn_audio, sound)}
    )
    with torch.inference_mode():
        one = block._audio_attention(tokens, shared)
        weights = torch.tensor([0.0, 1.0, 0.0, 2.0, 0.5])
        weighed = block._audio_attention(tokens, replace(shared, audio_weight=weights))
    torch.testing.assert_close(weighed, one * weights[:, None, None])


def test_rows_of_features_projected_once_are_what_each_frame_would_project(sigma) -> None:  # type: ignore[no-untyped-def]
    denoiser, *_, sound = sigma
    features = torch.randn(12, 5, sound.shape[-1])
    rows = (torch.arange(4)[:, None] * 2 + torch.arange(10) - 4).clamp(0, 11)
    with torch.inference_mode():
        together = denoiser.audio_keys_values(features[rows].flatten(1, 2))
        gathered = {n: gather_rows(p, rows) for n, p in denoiser.audio_keys_values(features).items()}
    for name, pair in together.items():
        torch.testing.assert_close(gathered[name], KeyValues(*pair), atol=1e-6, rtol=1e-5)
