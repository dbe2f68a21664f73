"""Start noise belongs to the seed and the frame, not to the clip."""

from __future__ import annotations

import pytest
import torch

from megactor_core.sampling.noise import start_noise

SHAPE = (4, 8, 8)


@pytest.mark.parametrize("shared_noise", [0.0, 0.5, 1.0])
def test_a_frame_has_the_same_noise_in_a_longer_clip(shared_noise: float) -> None:
    short, long = (start_noise(3, frames, SHAPE, shared_noise) for frames in (5, 40))
    assert torch.equal(short, long[:, :, :5])


def test_seeds_and_frames_differ() -> None:
    noise = start_noise(3, 2, SHAPE)
    assert not torch.equal(noise[:, :, 0], noise[:, :, 1])
    assert not torch.equal(noise, start_noise(4, 2, SHAPE))


def test_shared_noise_keeps_the_variance() -> None:
    noise = start_noise(0, 400, SHAPE, 0.5)
    assert noise.var().item() == pytest.approx(1, abs=0.1)
    frames = noise[0].transpose(0, 1).flatten(1)
    assert torch.corrcoef(frames[:2])[0, 1].item() == pytest.approx(0.5, abs=0.15)
    assert torch.equal(*(start_noise(0, 2, SHAPE, 1.0)[:, :, i] for i in (0, 1)))
