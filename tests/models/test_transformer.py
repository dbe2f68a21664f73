"""What is special about the diffusion transformer: patches, modulation, reading, and exact masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_model import TINY_DIT
from torch import Tensor

from benchmarks.training_memory import LiveBytes
from megactor_core.models.denoiser import KeyValues, Regions
from megactor_core.models.dit.config import DiTConfig
from megactor_core.models.dit.transformer import DenoisingTransformer, ReferenceTransformer, unpatchify

FRAMES, CELLS = 4, 8
CONFIG = replace(TINY_DIT, in_channels=8, audio_dim=8)
REFERENCE = replace(CONFIG, in_channels=4, out_channels=0, temporal_blocks="none", audio_dim=0)


def network_of(config: DiTConfig = CONFIG) -> DenoisingTransformer:
    """Random weights, also where training begins at zero."""
    torch.manual_seed(0)
    network = DenoisingTransformer(config, None).eval()
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.05)
    return network


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def predict(network: DenoisingTransformer, sample: Tensor, timestep: Any = 300, **options: Any) -> Tensor:
    context = network.context_keys_values(numbers(1, 3, network.config.cross_attention_dim))
    timestep = torch.tensor([timestep]) if isinstance(timestep, int) else timestep
    return network(sample, timestep, context, **options)


def reference_of(network: DenoisingTransformer, rows: int = 1) -> dict[str, KeyValues]:
    writer = ReferenceTransformer(replace(REFERENCE, first_reading_block=network.config.first_reading_block))
    context = writer.context_keys_values(numbers(1, 3, 16))
    return network.reference_keys_values(writer(numbers(rows, 4, CELLS, CELLS), torch.tensor([300]), context))


def test_patches_of_a_picture_make_it_up() -> None:
    picture = torch.arange(2 * 3 * 8 * 12, dtype=torch.float32).view(2, 3, 8, 12)
    rows = picture.unflatten(3, (6, 2)).unflatten(2, (4, 2))  # n, c, token row, cell row, token column, cell
    patches = rows.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    assert unpatchify(patches, (8, 12), 2).equal(picture)


@torch.inference_mode()
def test_a_timestep_for_all_is_one_for_each_row_and_frame() -> None:
    network, sample = network_of(), numbers(2, 8, FRAMES, CELLS, CELLS)
    once = predict(network, sample)
    close = {"atol": 2e-6, "rtol": 1e-6}  # products of several timesteps are rounded another way
    for same in (torch.tensor([300, 300]), torch.full((2, FRAMES), 300)):
        torch.testing.assert_close(predict(network, sample, same), once, **close)
    other = predict(network, sample, torch.tensor([300, 310]))
    torch.testing.assert_close(other[0], once[0], **close)
    assert not torch.allclose(other[1], once[1], atol=1e-4)
    # a single clip serves rows at timesteps of their own
    parted = predict(network, sample[:1], torch.tensor([300, 700]), rows=2)
    expected = torch.cat([predict(network, sample[:1], timestep) for timestep in (300, 700)])
    torch.testing.assert_close(parted, expected, **close)


@torch.inference_mode()
@pytest.mark.parametrize("temporal", ["none", "latte", "motion"])
def test_frames_know_of_each_other_through_temporal_blocks_alone(temporal: Any) -> None:
    network = network_of(replace(CONFIG, temporal_blocks=temporal))
    sample = numbers(1, 8, FRAMES, CELLS, CELLS)
    other = sample.clone()
    other[:, :, 2] += 1
    changed = (predict(network, sample) != predict(network, other)).amax(dim=(0, 1, 3, 4))
    assert changed.tolist() == [temporal != "none"] * 2 + [True] + [temporal != "none"]
    still = [predict(network, one, motion=False) for one in (sample, other)]
    assert (still[0] != still[1]).amax(dim=(0, 1, 3, 4)).tolist() == [False, False, True, False]


@torch.inference_mode()
@pytest.mark.parametrize("temporal", ["latte", "motion"])
def test_fresh_temporal_blocks_do_nothing_but_tell_the_frame(temporal: Any) -> None:
    network = DenoisingTransformer(replace(CONFIG, temporal_blocks=temporal), None).eval()
    sample = numbers(1, 8, 1, CELLS, CELLS)
    assert predict(network, sample).equal(predict(network, sample, motion=False))


@torch.inference_mode()
def test_the_reference_is_read_from_its_block_on_and_twice_weighs_double() -> None:
    sample = numbers(1, 8, FRAMES, CELLS, CELLS)
    deaf = network_of(replace(CONFIG, first_reading_block=CONFIG.num_layers))
    assert reference_of(deaf) == {}
    assert predict(deaf, sample, reference=reference_of(deaf)).equal(predict(deaf, sample))
    network = network_of()
    reference = reference_of(network)
    assert [*reference] == ["transformer_blocks.1", "transformer_blocks.2"]
    twice = {
        name: KeyValues(*(torch.cat([part, part], 2) for part in pair)) for name, pair in reference.items()
    }
    read = predict(network, sample, reference=twice)
    weighed = predict(network, sample, reference=reference, reference_weight=2.0)
    torch.testing.assert_close(read, weighed, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(read, predict(network, sample, reference=reference), atol=1e-4)
    assert not torch.allclose(read, predict(network, sample), atol=1e-3)


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.parametrize("training", [True, False])
def test_a_hidden_region_tells_nothing_to_the_rest(training: bool, frames: int) -> None:
    network = network_of()
    hidden = torch.zeros(1, CELLS, CELLS, dtype=torch.bool)
    hidden[:, 2:6, 2:4] = True  # whole tokens
    sample = numbers(1, 8, frames, CELLS, CELLS)
    inside = hidden[:, None, None].expand_as(sample)
    other = torch.where(inside, sample + 1, sample)
    sample.requires_grad_(training)
    options = {"reference": reference_of(network), "regions": Regions(hidden=hidden)}
    first, second = (predict(network, one, **options) for one in (sample, other.requires_grad_(training)))
    outside = ~hidden[:, None, None].expand_as(first)
    assert first[outside].equal(second[outside]) and not first[~outside].equal(second[~outside])
    if training:
        first[outside].sum().backward()
        assert sample.grad is not None
        assert not sample.grad[inside].any() and sample.grad[~inside].any()


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_to_hide_nothing_is_to_hide_no_region(frames: int) -> None:
    network, sample = network_of(), numbers(1, 8, frames, CELLS, CELLS)
    nothing = Regions(hidden=torch.zeros(1, CELLS, CELLS, dtype=torch.bool))
    reference = reference_of(network)
    plain, masked = (
        predict(network, sample, reference=reference, regions=regions) for regions in (Regions(), nothing)
    )
    torch.testing.assert_close(masked, plain, atol=1e-6, rtol=1e-5)  # a mask takes another kernel


@torch.inference_mode()
def test_it_compiles() -> None:
    network = network_of(replace(CONFIG, num_layers=2, temporal_blocks="latte"))
    sample, reference = numbers(1, 8, FRAMES, CELLS, CELLS), reference_of(network)
    expected = predict(network, sample, reference=reference)
    network.compile(backend="aot_eager")
    torch.testing.assert_close(predict(network, sample, reference=reference), expected)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_where_the_tables_are_zero(dtype: torch.dtype) -> None:
    network = network_of()
    for name, parameter in network.named_parameters():
        if "scale_shift_table" in name:
            parameter.zero_()
    network.to(dtype)
    found = predict_in(network, numbers(1, 8, FRAMES, CELLS, CELLS), dtype)
    assert found.dtype == dtype and found.isfinite().all()


def predict_in(network: DenoisingTransformer, sample: Tensor, dtype: torch.dtype) -> Tensor:
    context = network.context_keys_values(numbers(1, 3, 16).to(dtype))
    return network(sample.to(dtype), torch.tensor([300]), context)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(8, 8), (6, 12)])
def test_shape_and_values_hold_in_channels_last(size: tuple[int, int]) -> None:
    network, sample = network_of(), numbers(1, 8, FRAMES, *size)
    expected = predict(network, sample)
    assert expected.shape == (1, 4, FRAMES, *size)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(predict(network, sample), expected)


@torch.inference_mode()
def test_a_picture_of_half_patches_is_filled_with_its_edge() -> None:
    network, sample = network_of(), numbers(1, 8, FRAMES, 7, 9)
    filled = torch.nn.functional.pad(sample.flatten(0, 1), (0, 1, 0, 1), mode="replicate")[None]
    found = predict(network, sample)
    torch.testing.assert_close(found, predict(network, filled)[..., :7, :9])
    hidden = torch.zeros(1, 7, 9, dtype=torch.bool)
    hidden[:, 6:, 8:] = True
    assert not predict(network, sample, regions=Regions(hidden=hidden)).equal(found)


def test_gradient_checkpointing_changes_no_bit() -> None:
    gradients = []
    for checkpointing in (False, True):
        network = network_of()
        network.set_gradient_checkpointing(checkpointing)
        predict(network, numbers(1, 8, FRAMES, CELLS, CELLS)).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    assert all(map(torch.equal, *gradients))


def test_more_frames_than_positions_are_refused() -> None:
    network = network_of(replace(CONFIG, motion_max_positions=2))
    sample = numbers(1, 8, FRAMES, CELLS, CELLS)
    with pytest.raises(ValueError, match="4 frames is longer than the model's 2 positions"):
        predict(network, sample)
    assert predict(network, sample, motion=False).shape[2] == FRAMES


@torch.inference_mode()
@pytest.mark.parametrize(("rows", "side"), [(1, 24), (2, 24), (2, 40)])
def test_its_memory_is_what_its_configuration_reckons(rows: int, side: int) -> None:
    heads = {"num_attention_heads": 4, "cross_attention_dim": 288}
    config = DiTConfig(num_layers=2, first_reading_block=0, audio_dim=384, **heads)
    network = DenoisingTransformer(config, None).eval()
    tokens = network.audio_keys_values(torch.zeros(16, 50, 384))
    context = network.context_keys_values(torch.zeros(1, 1, 288))
    read = torch.zeros(1, 4, side**2 // 4, 72)
    reference = {f"transformer_blocks.{i}": KeyValues(read, read) for i in range(2)}
    live, sample = LiveBytes("cpu"), torch.zeros(rows, 8, 16, side, side)
    with live:
        network(sample, torch.tensor([300]), context, reference, audio=tokens, conditional_rows=1)
    reckoned = config.activation_values(rows * 16 * side**2) * 4
    assert live.peak == pytest.approx(reckoned, rel=0.15)
