"""The formulas of a noise schedule agree with diffusers and with each other, for timesteps of any shape."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from megactor_core.models.config import SchedulerConfig
from megactor_core.sampling.schedule import Schedule, build_schedule, build_scheduler

ROWS, FRAMES = 2, 3
PREDICTION_TYPES = ("epsilon", "v_prediction")


def config_of(prediction_type: str, zero_snr: bool = False) -> SchedulerConfig:
    return SchedulerConfig(
        beta_schedule="scaled_linear", prediction_type=prediction_type, rescale_betas_zero_snr=zero_snr
    )


def latents(count: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, ROWS, 4, FRAMES, 5, 3, generator=generator).unbind()


FORMULAS: dict[str, Callable[[Schedule, Tensor, Tensor, Tensor], Tensor]] = {
    "noisy": lambda schedule, first, second, timesteps: schedule.noisy(first, second, timesteps),
    "target": lambda schedule, first, second, timesteps: schedule.target(first, second, timesteps),
    "clean": lambda schedule, first, second, timesteps: schedule.clean(first, second, timesteps),
    "noise": lambda schedule, first, second, timesteps: schedule.noise(first, second, timesteps),
    "prediction": lambda schedule, first, second, timesteps: schedule.prediction(first, second, timesteps),
    "renoise": lambda schedule, first, second, timesteps: schedule.renoise(
        first, second, timesteps, timesteps // 2
    ),
    "error_scale": lambda schedule, first, _, timesteps: schedule.error_scale(first, timesteps) * first,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("formula", FORMULAS.values(), ids=list(FORMULAS))
def test_equal_timesteps_have_the_bits_of_one(
    formula: Callable[..., Tensor], prediction_type: str, dtype: torch.dtype
) -> None:
    schedule = build_schedule(config_of(prediction_type))
    first, second = (part.to(dtype) for part in latents(2))
    one = formula(schedule, first, second, torch.tensor(741))
    assert one.shape == first.shape and one.dtype == dtype
    for shape in ((1,), (ROWS,), (ROWS, FRAMES), (1, FRAMES)):
        assert torch.equal(formula(schedule, first, second, torch.full(shape, 741)), one)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("formula", FORMULAS.values(), ids=list(FORMULAS))
def test_every_row_and_every_frame_has_its_own_timestep(
    formula: Callable[..., Tensor], prediction_type: str
) -> None:
    schedule = build_schedule(config_of(prediction_type))
    first, second = latents(2)
    timesteps = torch.tensor([[10, 500, 999], [998, 250, 20]])
    together = formula(schedule, first, second, timesteps)
    for row in range(ROWS):
        for frame in range(FRAMES):
            alone = formula(schedule, first, second, timesteps[row, frame])
            assert torch.equal(together[row, :, frame], alone[row, :, frame])
    by_row = formula(schedule, first, second, timesteps[:, 0])
    assert torch.equal(by_row[:, :, 0], together[:, :, 0])


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_noisy_latents_and_targets_are_those_of_diffusers(prediction_type: str, zero_snr: bool) -> None:
    config = config_of(prediction_type, zero_snr)
    schedule, scheduler = build_schedule(config), build_scheduler("ddim", config)
    clean, noise = latents(2)
    timesteps = torch.tensor([10, 999])
    velocity = prediction_type == "v_prediction"
    noisy = schedule.noisy(clean, noise, timesteps)
    torch.testing.assert_close(noisy, scheduler.add_noise(clean, noise, timesteps))
    target = schedule.target(clean, noise, timesteps)
    torch.testing.assert_close(target, scheduler.get_velocity(clean, noise, timesteps) if velocity else noise)
    if zero_snr:
        torch.testing.assert_close(noisy[1], noise[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_clean_latents_are_what_ddim_sees(prediction_type: str) -> None:
    config = config_of(prediction_type)
    schedule, scheduler = build_schedule(config), build_scheduler("ddim", config)
    scheduler.set_timesteps(10)
    noisy, prediction = latents(2)
    for timestep in scheduler.timesteps:
        expected = scheduler.step(prediction, timestep, noisy).pred_original_sample
        torch.testing.assert_close(schedule.clean(noisy, prediction, timestep), expected)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_the_formulas_undo_each_other(prediction_type: str) -> None:
    schedule = build_schedule(config_of(prediction_type))
    clean, noise = latents(2)
    timesteps = torch.tensor([[100, 500, 900], [300, 999, 20]])
    noisy, target = schedule.noisy(clean, noise, timesteps), schedule.target(clean, noise, timesteps)
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(schedule.clean(noisy, target, timesteps), clean, **close)
    torch.testing.assert_close(schedule.noise(noisy, clean, timesteps), noise, **close)
    torch.testing.assert_close(schedule.prediction(noisy, clean, timesteps), target, **close)
    to = timesteps // 2
    again = schedule.renoise(noisy, clean, timesteps, to)
    torch.testing.assert_close(again, schedule.noisy(clean, noise, to), **close)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_an_error_of_the_prediction_is_scaled_to_one_of_the_latents(prediction_type: str) -> None:
    schedule = build_schedule(config_of(prediction_type))
    noisy, prediction = latents(2)
    timesteps = torch.tensor([100, 900])
    wrong = schedule.clean(noisy, prediction, timesteps) - schedule.clean(noisy, prediction + 1, timesteps)
    scale = schedule.error_scale(noisy, timesteps)
    torch.testing.assert_close(wrong, scale.expand_as(wrong), atol=1e-5, rtol=1e-4)


def test_the_start_is_the_last_timestep() -> None:
    schedule = build_schedule(config_of("epsilon"))
    clean, noise = latents(2)
    torch.testing.assert_close(schedule.start(clean, noise), schedule.noisy(clean, noise, torch.tensor(999)))
