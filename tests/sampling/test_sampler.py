"""Sampling: every scheduler runs and repeats, settings are checked, shared work changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import CHANNELS, TINY_DIT, tiny_config, tiny_networks

from megactor_core.errors import InputError
from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.sampling.decode import decode_latents
from megactor_core.sampling.sampler import SamplingSettings, sample
from megactor_core.sampling.schedule import SCHEDULERS

_UNET = tiny_config()
_DIT = tiny_config(
    denoiser=TINY_DIT,
    reference_network=replace(TINY_DIT, in_channels=4, out_channels=0, temporal_blocks="none"),
)
_MODELS = {"unet": (_UNET, tiny_networks(_UNET)), "dit": (_DIT, tiny_networks(_DIT))}
CONFIG, NETWORKS = _MODELS["unet"]


@pytest.fixture(autouse=True, params=_MODELS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test samples with each kind of denoiser."""
    for name, value in zip(("CONFIG", "NETWORKS"), _MODELS[request.param], strict=True):
        monkeypatch.setitem(globals(), name, value)
    return request.param


def conditions(num_frames: int, seed: int = 1) -> Conditions:
    random = torch.Generator().manual_seed(seed)
    return Conditions(
        ReferenceCondition(
            torch.randn(1, 4, 8, 8, generator=random),
            torch.randn(1, 5, 1, 8, 8, generator=random),
            torch.zeros(1, 16),
        ),
        BackgroundCondition(torch.randn(1, 5, 16, generator=random)),
        DrivingCondition(torch.randn(1, 4, 20, 8, 8, generator=random)[:, :, :num_frames]),
    )


def settings(**changes: object) -> SamplingSettings:
    return SamplingSettings.from_defaults(CONFIG.defaults, **{"num_inference_steps": 3, **changes})


def run(num_frames: int = 6, **changes: object) -> torch.Tensor:
    return sample(NETWORKS, CONFIG, conditions(num_frames), settings(**changes))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_runs_and_repeats(scheduler: str) -> None:
    torch.manual_seed(0)
    first = run(scheduler=scheduler)
    torch.manual_seed(1)
    assert torch.equal(first, run(scheduler=scheduler))
    assert first.shape == (1, CHANNELS, 6, 8, 8)
    assert torch.isfinite(first).all()


def test_one_step_is_enough_to_run() -> None:
    for scheduler in SCHEDULERS:
        assert torch.isfinite(run(scheduler=scheduler, num_inference_steps=1)).all()


def test_open_ends_and_pyramid_weights_run_over_several_windows() -> None:
    results = [
        run(11, closed_loop=closed_loop, window_weights=weights)
        for closed_loop in (True, False)
        for weights in ("flat", "pyramid")
    ]
    for index, result in enumerate(results):
        assert torch.isfinite(result).all()
        assert not any(torch.allclose(result, other) for other in results[:index])


def test_a_clip_of_one_frame_runs() -> None:
    assert run(1).shape == (1, CHANNELS, 1, 8, 8)


def test_frames_of_separate_windows_do_not_depend_on_the_clips_length() -> None:
    # Without overlap and with open ends, the first window of a longer clip is the shorter clip.
    for scheduler in SCHEDULERS:
        options = {"scheduler": scheduler, "context_overlap": 0, "closed_loop": False}
        short, long = run(8, **options), run(16, **options)
        torch.testing.assert_close(long[:, :, :8], short)


def test_both_rows_in_one_pass_are_what_two_passes_give() -> None:
    denoiser = NETWORKS.denoiser
    random = torch.Generator().manual_seed(2)
    clip = torch.randn(1, 13, 5, 8, 8, generator=random)
    tokens = torch.randn(1, 5, 16, generator=random)
    timestep = torch.tensor([500])
    with torch.inference_mode():
        context = denoiser.context_keys_values(tokens)
        bank = NETWORKS.reference_network(
            torch.randn(1, 4, 8, 8, generator=random),
            timestep,
            NETWORKS.reference_network.context_keys_values(tokens),
        )
        reference = denoiser.reference_keys_values(bank)
        shared = denoiser(clip, timestep, context, reference, rows=2, conditional_rows=1)
        unconditional = denoiser(clip, timestep, context)
        conditional = denoiser(clip, timestep, context, reference)
    torch.testing.assert_close(shared, torch.cat([unconditional, conditional]))
    assert not torch.allclose(unconditional, conditional)


def test_guidance_one_is_the_conditional_row() -> None:
    torch.testing.assert_close(run(guidance_scale=1.0), run(guidance_scale=1.0 + 1e-9), atol=1e-4, rtol=1e-4)


def test_a_frame_decodes_the_same_alone_and_among_others() -> None:
    latents = run()
    together = list(decode_latents(NETWORKS.vae, latents))
    alone = [next(decode_latents(NETWORKS.vae, latents[:, :, [i]])) for i in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_inference_steps": 0}, "at least 1"),
        ({"seed": -1}, "from 0"),
        ({"seed": 2**63}, "from 0"),
        ({"guidance_scale": float("nan")}, "finite"),
        ({"shared_noise": 1.5}, "between 0 and 1"),
        ({"noise_scale": -0.1}, "between 0 and 1"),
        ({"context_length": 17}, "16 temporal positions"),
        ({"context_overlap": 8}, "less than the context length 8"),
        ({"scheduler": "heun"}, "ddim, euler"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        settings(**changes).validate(CONFIG)
