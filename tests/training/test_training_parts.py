"""Schedules, averages, noise and data of training do what the configuration says."""

from __future__ import annotations

import argparse
from itertools import pairwise

import pytest
import torch

from megactor_core.cli import train
from megactor_core.errors import InputError
from megactor_core.models.config import SchedulerConfig
from megactor_core.sampling.schedule import build_schedule, build_scheduler
from megactor_core.seeds import torch_generator
from megactor_core.training.config.run import OptimizerConfig, TrainingConfig, differences
from megactor_core.training.config.tasks import DenoiserTaskConfig, PuppetClipsConfig
from megactor_core.training.data.loader import BatchPart
from megactor_core.training.data.pictures import RenderedPictures
from megactor_core.training.data.puppets import PuppetClips
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.optimizer import build_optimizer, learning_rate, set_rate
from megactor_core.training.engine.state import WeightAverages
from megactor_core.training.tasks.base import StepContext
from megactor_core.training.tasks.draws import draw_clips
from megactor_core.training.tasks.losses import (
    draw_noise,
    draw_timesteps,
    min_snr_weights,
    prediction_error,
    start_some,
)
from megactor_core.training.tasks.registry import build_task


def test_learning_rate_warms_up_holds_and_falls_to_zero():
    config = OptimizerConfig(learning_rate=1.0, schedule="cosine", warmup_steps=10, decay_steps=20)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:80] == pytest.approx([1.0] * 71)
    assert all(a > b for a, b in pairwise(rates[80:])) and rates[-1] < 0.01


def test_every_parameter_learns_at_the_rate_of_the_first_part_in_its_name():
    names = ("denoiser.attention", "denoiser.motion.attention", "denoiser.motion.norm", "reference.norm")
    weights = {name: torch.nn.Parameter(torch.zeros(2)) for name in names}
    config = OptimizerConfig(group_rates={"motion.": 0.1, "attention": 3.0}, weight_decay=0.0)
    optimizer = build_optimizer(config, weights)
    for weight in weights.values():
        weight.grad = torch.ones(2)
    set_rate(optimizer, 1e-2)
    optimizer.step()
    # Adam's first step is as long as the rate.
    moved = [-float(weight.detach()[0]) for weight in weights.values()]
    assert moved == pytest.approx([3e-2, 1e-3, 1e-3, 1e-2], rel=1e-4)


@pytest.mark.parametrize("rates", [{"motion": 2.0}, {"denoiser.": 2.0, "attention": 3.0}])
def test_a_part_that_names_no_parameter_of_its_own_is_refused(rates):
    weights = {"denoiser.attention": torch.nn.Parameter(torch.zeros(2))}
    with pytest.raises(InputError, match=r"optimizer\.group_rates: (motion|attention): is in the name of no"):
        build_optimizer(OptimizerConfig(group_rates=rates), weights)


def test_the_order_of_the_groups_belongs_to_a_run(autoencoder_data):
    first, second = (
        TrainingConfig.model_validate({**autoencoder_data, "optimizer": {"group_rates": rates}})
        for rates in ({"mid": 2.0, "norm": 3.0}, {"norm": 3.0, "mid": 2.0})
    )
    assert not differences(first, first)
    assert differences(first, second) == {
        "optimizer.group_rates": "optimizer.group_rates: ['mid', 'norm'] there, ['norm', 'mid'] here"
    }


def test_average_follows_the_weights_and_gives_them_back():
    weight = torch.nn.Parameter(torch.zeros(3))
    ema = WeightAverages({"weight": weight}, decay=0.9)
    weight.data += 1
    for step in range(1000, 1050):
        ema.update(step)
    with ema.applied():
        assert weight.data == pytest.approx(torch.full((3,), 1 - 0.9**50))
    assert torch.equal(weight.data, torch.ones(3))


def test_noise_is_shared_and_offset_as_asked():
    generator = torch_generator(1, 1, 0)
    noise = draw_noise((200, 4, 2, 8, 8), 0.5, 0.0, generator)
    assert noise.var() == pytest.approx(1, abs=0.02)
    assert (noise[:, :, 0] * noise[:, :, 1]).mean() == pytest.approx(0.5, abs=0.02)
    offset = draw_noise((200, 4, 2, 8, 8), 0.0, 1.0, generator).mean((2, 3, 4))
    assert offset.std() == pytest.approx(1, abs=0.1)


def test_timesteps_lean_towards_noise_as_asked():
    generator = torch_generator(1, 1, 0)
    assert draw_timesteps(4000, 1.0, generator).float().mean() == pytest.approx(500, abs=20)
    leaning = draw_timesteps(4000, 2.0, generator)
    assert (
        leaning.float().mean() == pytest.approx(667, abs=20) and 0 <= leaning.min() and leaning.max() <= 999
    )


def test_a_share_of_the_clips_is_what_sampling_starts_from():
    timesteps, noise = torch.arange(400), torch.ones(400, 2, 1, 3, 3)
    timesteps, noise = start_some(timesteps, noise, 0.25, 0.1, torch_generator(1, 1, 0))
    started = timesteps == 999
    assert started.float().mean() == pytest.approx(0.25, abs=0.07)
    assert (noise[started] == 0.1).all() and (noise[~started] == 1).all()


def test_a_start_from_the_portrait_needs_no_velocity_to_paint_it(denoiser_data, tmp_path):
    schedule = {**denoiser_data["task"]["model"]["training_scheduler"], "beta_start": 1e-7, "beta_end": 4e-7}
    schedule["rescale_betas_zero_snr"] = False
    start = {"start": "reference", "schedule": schedule, "start_share": 0.5, "start_noise_scale": 0.0}
    task_data = {**denoiser_data["task"], **start, "own_start": True, "auxiliary_weight": 0.0}
    config = TrainingConfig.model_validate({**denoiser_data, "task": task_data})
    task = build_task(config, tmp_path)
    torch.nn.init.zeros_(task.all_networks.denoiser.conv_out.weight)
    torch.nn.init.zeros_(task.all_networks.denoiser.conv_out.bias)
    batch = task.dataset(ProcessGroup())[0]
    still = {**batch, "targets": batch["references"][:, None].expand_as(batch["targets"])}
    errors = []
    for clips in (still, batch):
        context = StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup())
        errors.append(float(task.loss(clips, context)[0].detach()))
    assert errors[0] < 1e-6 < 1e-4 < errors[1]


def test_small_motion_is_a_part_of_the_whole():
    whole, small = (
        PuppetClips(
            PuppetClipsConfig(size=32, frames=3, references=4, small_motion_share=share),
            5,
            "train",
            SampleFormat(32, 4, 16),
        )
        for share in (0.0, 1.0)
    )
    whole, small = whole[0], small[0]
    assert torch.equal(whole["references"], small["references"])
    moved, less = (clips["motion"].diff(dim=1) for clips in (whole, small))
    parts = (less * moved).sum((1, 2)) / moved.square().sum((1, 2))
    assert (0 <= parts).all() and (parts <= 1).all() and parts.std() > 0.05
    torch.testing.assert_close(less, moved * parts[:, None, None], atol=1e-5, rtol=1e-4)


def test_an_error_that_changes_costs_more_than_one_that_stays():
    weights = torch.ones(1, 4, 2, 2)
    steady = torch.ones(1, 3, 4, 2, 2)
    changing = steady * torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 4, 1, 1)
    assert prediction_error(steady, weights, 0.0) == prediction_error(changing, weights, 0.0) == 1
    assert prediction_error(steady, weights, 0.5) == 1
    assert prediction_error(changing, weights, 0.5) == 1 + 0.5 * 4


def test_errors_count_as_much_as_their_pixels_weigh():
    difference = torch.tensor([1.0, 2.0]).view(1, 1, 1, 1, 2)
    assert prediction_error(difference, torch.tensor([3.0, 1.0]).view(1, 1, 1, 2), 0.0) == (3 * 1 + 1 * 4) / 4


@pytest.mark.parametrize(
    ("prediction_type", "expected"),
    [
        ("epsilon", lambda snr: (5 / snr).clamp(max=1)),
        ("v_prediction", lambda snr: snr.clamp(max=5) / (snr + 1)),
    ],
)
def test_min_snr_weights_are_those_of_the_paper(prediction_type, expected):
    config = SchedulerConfig(
        beta_schedule="scaled_linear", prediction_type=prediction_type, rescale_betas_zero_snr=True
    )
    schedule, timesteps = build_schedule(config), torch.tensor([1, 300, 700, 999])
    alphas = build_scheduler("ddim", config).alphas_cumprod[timesteps]
    weights = min_snr_weights(schedule, timesteps, 5.0)
    torch.testing.assert_close(weights, expected(alphas / (1 - alphas)))
    assert weights.isfinite().all() and weights[0] < 0.5 < weights[2 if prediction_type == "epsilon" else 1]


def draw(processes: ProcessGroup, own: int, **changes):
    config = DenoiserTaskConfig(initial_weights="model", **changes)
    shape = torch.Size((own, 4, 2, 3, 3))
    return draw_clips(config, shape, processes, torch_generator(1, 2, 3))


def test_every_clip_has_its_numbers_however_many_processes_share_the_batch():
    changes = {
        "reference_dropout": 0.5,
        "background_dropout": 0.5,
        "driving_dropout": 0.5,
        "start_share": 0.3,
    }
    whole = draw(ProcessGroup(), 8, **changes)
    parts = []
    for rank in range(4):
        processes = ProcessGroup()
        processes.rank, processes.count = rank, 4
        parts.append(draw(processes, 2, **changes))
    for name in ("timesteps", "noise"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for name in ("reference", "background", "driver"):
        assert torch.equal(torch.cat([getattr(part.kept, name) for part in parts]), getattr(whole.kept, name))


def test_conditions_are_dropped_only_where_that_is_asked_for():
    plain = draw(ProcessGroup(), 200)
    assert all(kept.all() for kept in (plain.kept.reference, plain.kept.background, plain.kept.driver))
    dropped = draw(ProcessGroup(), 200, reference_dropout=0.1, background_dropout=0.2, driving_dropout=0.3)
    kept = dropped.kept
    shares = [part.float().mean() for part in (kept.reference, kept.background, kept.driver)]
    assert shares == pytest.approx([0.9, 0.8, 0.7], abs=0.1)
    assert torch.equal(dropped.noise, plain.noise)


def test_a_part_of_a_batch_is_made_of_the_same_entries():
    config = PuppetClipsConfig(size=64, references=4, frames=2)
    whole = PuppetClips(config, 1, "train", SampleFormat(64, 8, 16))[3]
    single = PuppetClips(config.model_copy(update={"references": 1}), 1, "train", SampleFormat(64, 8, 16))
    part = BatchPart(single, 4, slice(2, 4))[3]
    assert part.keys() == whole.keys()
    assert all(torch.equal(value, whole[name][2:]) for name, value in part.items())


def test_a_batch_depends_on_its_index_alone():
    pictures = RenderedPictures(1, "train", 32, 2, 2.0)
    first = pictures[5]
    pictures[6]
    assert torch.equal(first["pictures"], RenderedPictures(1, "train", 32, 2, 2.0)[5]["pictures"])
    assert not torch.equal(first["pictures"], pictures[6]["pictures"])
    assert not torch.equal(first["pictures"], RenderedPictures(1, "held-out", 32, 2, 2.0)[5]["pictures"])
    assert set(first["weights"].unique().tolist()) == {1.0, 2.0}


def test_a_share_of_pictures_shows_no_puppet_and_the_others_stay_the_same():
    alone = RenderedPictures(1, "train", 32, 40, 2.0)[0]
    mixed = RenderedPictures(1, "train", 32, 40, 2.0, procedural_share=0.4)[0]
    puppets = (mixed["pictures"] == alone["pictures"]).flatten(1).all(1)
    assert 0.4 < puppets.float().mean() < 0.8
    others = mixed["pictures"][~puppets].float()
    assert (mixed["weights"][~puppets] == 1).all()
    # none is empty, no two are alike
    assert (others.std((1, 2, 3)) > 1).all()
    assert (others[:, None] - others[None]).abs().mean((2, 3, 4)).fill_diagonal_(255).min() > 5


def test_a_crop_is_a_piece_of_the_picture():
    whole = RenderedPictures(1, "train", 64, 1, 2.0)[7]
    piece = RenderedPictures(1, "train", 64, 1, 2.0, crop=32)[7]
    windows = whole["pictures"][0].unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4)
    places = (windows == piece["pictures"][0]).flatten(2).all(2).nonzero()
    assert len(places) == 1
    (top, left) = places[0].tolist()
    assert torch.equal(piece["weights"], whole["weights"][..., top : top + 32, left : left + 32])


def test_driver_and_target_are_different_people_in_the_same_motion():
    config = PuppetClipsConfig(size=64, references=2, frames=3)
    batch = PuppetClips(config, 1, "train", SampleFormat(64, 8, 16))[0]
    assert batch["targets"].shape == (2, 3, 3, 64, 64) and batch["driving"].shape == (2, 3, 64, 64)
    assert batch["references"].dtype == torch.uint8 and batch["motion"].shape == (2, 3, 15)
    assert batch["background_masks"].shape == (2, 1, 8, 8) and batch["backgrounds"].shape == (2, 3, 16, 16)
    assert (batch["driving"] == 0).float().mean() > 0.3, "outside of the face the condition is black"
    whole = PuppetClips(
        config.model_copy(update={"whole_frame_rate": 1.0}), 1, "train", SampleFormat(64, 8, 16)
    )[0]
    assert (whole["driving"] == 0).float().mean() < 0.3


def test_help_tells_how_to_train_and_go_on(capsys):
    parser = argparse.ArgumentParser()
    train.add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["train", "--help"])
    text = capsys.readouterr().out
    assert all(
        word in text
        for word in ("--config", "--output", "configs/train", "last checkpoint", "Ctrl-C", "accelerate")
    )
