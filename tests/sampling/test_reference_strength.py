"""Reference strength: 1 is as trained, 0 as without a reference, and in between it is smooth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import portrait_image, tiny_model, write_driver

from megactor_core.animator import Animator
from megactor_core.errors import InputError
from megactor_core.families.registry import FAMILIES
from megactor_core.media.reading import open_driving
from megactor_core.models.attention import Pass
from megactor_core.models.conditions import Conditions, StartCondition
from megactor_core.models.denoiser import KeyValues
from megactor_core.models.sd15.attention import TransformerBlock
from megactor_core.vision.coarse_landmarks import MEAN_FACE
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import write_random_model


def look(image: np.ndarray) -> np.ndarray:
    return MEAN_FACE[:, :2] * 2 + (30, 30)


@pytest.fixture(scope="module", params=FAMILIES)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An animator of a family, and what its denoiser is told."""
    folder = tmp_path_factory.mktemp("model")
    write_random_model(request.param, folder / "model")
    animator = Animator(load_model(folder / "model"), landmarker=look)
    driver = open_driving(write_driver(folder / "driver.mp4", 3))
    portrait = animator.segment_reference(portrait_image(64, 64), crop="whole")
    return animator, animator.condition(portrait, animator.prepare_driving(driver, crop="whole"))


def clip(animator: Animator, conditions: Conditions, strength: float | None) -> torch.Tensor:
    changes = {} if strength is None else {"reference_strength": strength}
    settings = animator.settings(num_inference_steps=2, guidance_scale=2.0, **changes)
    return animator.sample(conditions, settings)


def test_every_family_looks_at_the_portrait_as_much_as_is_said(told: Any) -> None:
    animator, conditions = told
    usual, none = clip(animator, conditions, None), clip(animator, conditions, 0.0)
    assert torch.equal(clip(animator, conditions, 1.0), usual)
    assert not torch.allclose(clip(animator, conditions, 0.5), usual)
    assert not torch.allclose(clip(animator, conditions, 1.5), usual)
    torch.testing.assert_close(clip(animator, conditions, 1e-7), none, rtol=1e-3, atol=1e-3)
    # what sampling starts from stays the portrait's
    latents = conditions.reference.latents[:, :, None]
    start = StartCondition(latents.repeat(1, 1, conditions.num_frames, 1, 1))
    other = replace(conditions.reference, latents=conditions.reference.latents.flip(-1) + 1)
    pair = [replace(conditions, start=start), replace(conditions, start=start, reference=other)]
    assert torch.equal(*(clip(animator, one, 0.0) for one in pair))
    assert not torch.allclose(*(clip(animator, one, 0.5) for one in pair))


def test_at_0_the_reference_network_does_not_run(told: Any) -> None:
    animator, conditions = told
    network, runs = animator.model.networks.module("reference_network"), []
    hook = network.register_forward_pre_hook(lambda *_: runs.append(1))
    clip(animator, conditions, 0.0)
    hook.remove()
    assert runs == []


def test_weights_of_the_references_tokens_are_multiplied() -> None:
    torch.manual_seed(0)
    block = TransformerBlock("block", 8, 2, 8)
    tokens, reference = torch.randn(1, 5, 8), torch.randn(1, 7, 8)

    def attended(weight: float, times: int = 1) -> torch.Tensor:
        keys = block.attn1.to_k(reference.repeat(1, times, 1)).unflatten(-1, (2, 4)).transpose(1, 2)
        values = block.attn1.to_v(reference.repeat(1, times, 1)).unflatten(-1, (2, 4)).transpose(1, 2)
        shared = Pass(
            num_frames=1,
            embedding=torch.zeros(1, 8),
            context={},
            reference={"block": KeyValues(keys, values)},
            reference_weight=weight,
            reference_rows=1,
        )
        with torch.inference_mode():
            return block._self_attention(tokens, shared)

    with torch.inference_mode():
        # a token that counts half, twice, is a token that counts once
        torch.testing.assert_close(attended(0.5, times=2), attended(1.0))
        assert not torch.allclose(attended(0.5), attended(1.0))


@pytest.mark.parametrize("strength", [-0.1, 1.6, float("nan")])
def test_strengths_out_of_range_are_refused(strength: float) -> None:
    with pytest.raises(InputError, match="reference strength"):
        Animator(tiny_model()).settings(reference_strength=strength)


def test_the_option_arrives(tmp_path: Path) -> None:
    animator = Animator(tiny_model())
    driver = write_driver(tmp_path / "driver.mp4", 3)
    frames: dict[float, list[np.ndarray]] = {1.0: [], 0.2: []}
    for strength, kept in frames.items():
        animator.animate(
            portrait_image(),
            driver,
            tmp_path / f"{strength}.mp4",
            crop="whole",
            reference_strength=strength,
            on_frame=lambda _, frame, kept=kept: kept.append(frame),
        )
    assert not np.array_equal(*map(np.stack, frames.values()))
