"""Distillation: what is trained is what sampling does in a few steps, and exports sample so."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_family_losses import task_of
from torch import Tensor, nn

from megactor_core.animation.options import SamplingOptions
from megactor_core.animation.plan import sampling_settings
from megactor_core.conditioning.driving import compose_driving
from megactor_core.errors import InputError
from megactor_core.evaluation.measures.lpips import alexnet_features
from megactor_core.families.registry import FAMILIES
from megactor_core.models.config import SchedulerConfig
from megactor_core.sampling.clip_denoiser import ClipDenoiser
from megactor_core.sampling.schedule import build_schedule, build_scheduler, set_timesteps
from megactor_core.seeds import torch_generator
from megactor_core.training.config.distillation import AppearanceConfig
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.config.tasks import DenoiserTaskConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.animation import DenoiserTask
from megactor_core.training.tasks.appearance import edge_error, paint
from megactor_core.training.tasks.base import StepContext
from megactor_core.training.tasks.consistency import ConsistencyObjective, consistency_difference
from megactor_core.training.tasks.discriminator import (
    PatchDiscriminator,
    deception_error,
    discriminator_error,
)
from megactor_core.training.tasks.distillation import few_step_model
from megactor_core.training.tasks.registry import build_task
from megactor_core.training.tasks.teacher import Teacher
from megactor_core.weights.loading import load_model
from megactor_core.weights.random_model import tiny_config

VELOCITY = SchedulerConfig(
    beta_schedule="scaled_linear", prediction_type="v_prediction", timestep_spacing="trailing"
)
CONSISTENCY = {"objective": "consistency", "num_inference_steps": 3}
APPEARANCE = {
    "objective": "appearance",
    "num_inference_steps": 2,
    "discriminator_width": 8,
    "adversarial_start": 0.0,
}
PERCEPTUAL = {**APPEARANCE, "perceptual_weight": 2.0, "lpips_weights": "alexnet.safetensors"}
PLAIN = {"offset_noise": 0.0, "motion_modules": True}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def context(step: int = 0) -> StepContext:
    return StepContext(step, 10, torch_generator(1, 1, 0), ProcessGroup())


def teacher_of(task: DenoiserTask) -> Teacher:
    assert isinstance(task.distillation, ConsistencyObjective)
    return task.distillation.teacher


class Guess(nn.Module):
    """Sees the same clean latents in everything, and remembers when it was asked with gradients."""

    def __init__(self, schedule: Any, clean: Tensor) -> None:
        super().__init__()
        self.schedule, self.clean = schedule, nn.Parameter(clean)
        self.graded: list[bool] = []

    def forward(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        self.graded.append(torch.is_grad_enabled())
        return self.schedule.prediction(noisy, self.clean.expand_as(noisy), timesteps)


@pytest.fixture(params=["v_prediction", "epsilon"])
def schedule(request: pytest.FixtureRequest) -> Any:
    return build_schedule(SchedulerConfig(beta_schedule="scaled_linear", prediction_type=request.param))


def test_a_student_that_sees_what_its_teacher_sees_has_no_error(schedule: Any) -> None:
    point = noise(1, 4, 1, 2, 2)
    student, teacher = Guess(schedule, point), Guess(schedule, point)
    timesteps = torch.tensor([999, 499, 59])
    noisy = schedule.noisy(point.expand(3, -1, 2, -1, -1), noise(3, 4, 2, 2, 2, seed=1), timesteps)
    difference = consistency_difference(schedule, student, teacher, noisy, timesteps, timesteps - 20)
    assert difference.abs().max() < 2e-4
    wrong = Guess(schedule, point + 1)
    assert (
        consistency_difference(schedule, student, wrong, noisy, timesteps, timesteps - 20).abs().max() < 2e-4
    )
    difference = consistency_difference(schedule, wrong, teacher, noisy, timesteps, timesteps - 20)
    assert difference.abs().max() < 2e-4, "from both points it sees the same, though not the truth"
    both = consistency_difference(schedule, wrong, wrong, noisy, timesteps, timesteps)
    assert not both.any(), "no way, no difference, whatever is seen"


def test_gradients_of_consistency_reach_the_student_at_the_later_point_alone(schedule: Any) -> None:
    student, teacher = Guess(schedule, noise(1, 4, 1, 2, 2)), Guess(schedule, noise(1, 4, 1, 2, 2, seed=1))
    timesteps, noisy = torch.tensor([499]), noise(1, 4, 2, 2, 2, seed=2)
    difference = consistency_difference(schedule, student, teacher, noisy, timesteps, timesteps - 20)
    difference.sum().backward()
    assert teacher.clean.grad is None and sorted(student.graded) == [False, True]
    torch.testing.assert_close(student.clean.grad, torch.full_like(student.clean, 2.0), rtol=1e-3, atol=0)


def test_painting_is_lcms_sampling(schedule: Any) -> None:
    config = SchedulerConfig(beta_schedule="scaled_linear", prediction_type=schedule.prediction_type)
    scheduler = build_scheduler("lcm", config)
    set_timesteps(scheduler, config, 4)

    def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
        return torch.tanh(noisy + timesteps.view(-1, 1, 1, 1, 1) / 1000)

    start = noise(2, 4, 1, 3, 3)
    latents, noises, generator = start, [], torch.Generator().manual_seed(5)
    for timestep in scheduler.timesteps:
        at = timestep.expand(2)
        before = generator.get_state()
        latents = scheduler.step(predict(latents, at), timestep, latents, generator=generator).prev_sample
        drawn = torch.Generator()
        drawn.set_state(before)
        noises.append(torch.randn(start.shape, generator=drawn))
    painted = paint(schedule, predict, start, scheduler.timesteps.tolist(), noises[:3])
    torch.testing.assert_close(painted, latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["lcm", "tcd"])
def test_one_step_of_the_few_step_samplers_is_what_the_model_sees(name: str) -> None:
    """TCD leaves the noise of timestep 0 in it."""
    scheduler = build_scheduler(name, VELOCITY)
    set_timesteps(scheduler, VELOCITY, 1)
    sample, prediction, schedule = noise(1, 4, 3, 3), noise(1, 4, 3, 3, seed=1), build_schedule(VELOCITY)
    (timestep,) = scheduler.timesteps
    seen = schedule.clean(sample, prediction, timestep)
    expected = seen if name == "lcm" else schedule.renoise(sample, seen, timestep, torch.tensor(0))
    stepped = scheduler.step(prediction, timestep, sample).prev_sample
    torch.testing.assert_close(stepped, expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_painting_come_from_the_last_prediction_alone(schedule: Any) -> None:
    guess = Guess(schedule, noise(1, 4, 1, 2, 2))
    noises = [noise(1, 4, 1, 2, 2, seed=seed) for seed in (1, 2)]
    painted = paint(schedule, guess, noise(1, 4, 1, 2, 2, seed=3), [999, 666, 333], noises)
    painted.sum().backward()
    assert guess.graded == [False, False, True]
    torch.testing.assert_close(guess.clean.grad, torch.ones_like(guess.clean), rtol=1e-4, atol=1e-4)


def test_weak_edges_are_an_error_that_the_squared_one_prefers() -> None:
    """Something is in one of two places: the mean of both has the smaller squared error."""
    places = [torch.zeros(1, 3, 32, 32) for _ in range(2)]
    for place, left in zip(places, (8, 12), strict=True):
        place[..., left : left + 12] = 1
    mean, weights = (places[0] + places[1]) / 2, torch.ones(1, 1, 32, 32)

    def expected(error: Any, made: Tensor) -> float:
        return sum(float(error(made, true)) for true in places) / 2

    def squared(made: Tensor, true: Tensor) -> Tensor:
        return (made - true).square().mean()

    def edges(made: Tensor, true: Tensor) -> Tensor:
        return edge_error(made, true, weights)

    assert expected(squared, mean) < expected(squared, places[0])
    assert edges(places[0], places[0]) == 0
    assert expected(edges, mean) >= expected(edges, places[0])


def test_the_discriminator_and_what_it_judges_learn_apart() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8)
    made, true = noise(2, 3, 32, 32).requires_grad_(), noise(2, 3, 32, 32, seed=1)
    deception_error(discriminator, made).backward()
    assert made.grad is not None and made.grad.any()
    assert all(weight.grad is None and weight.requires_grad for weight in discriminator.parameters())
    made.grad = None
    discriminator_error(discriminator, made, true, noise(2, 3, 32, 32, seed=2), 10.0).backward()
    assert made.grad is None
    assert all(weight.grad is not None and weight.grad.any() for weight in discriminator.parameters())


def test_the_penalty_is_the_squared_slope_at_true_pictures() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8).requires_grad_(False)
    true = noise(1, 3, 16, 16).requires_grad_()
    slopes = []
    for score in discriminator(true).flatten():
        (slope,) = torch.autograd.grad(score, true, retain_graph=True)
        slopes.append(float(slope.square().sum()))
    many = true.detach().expand(512, -1, -1, -1)
    errors = [
        float(discriminator_error(discriminator, many, many, noise(512, 3, 16, 16), penalty))
        for penalty in (0.0, 2.0)
    ]
    assert errors[1] - errors[0] == pytest.approx(sum(slopes) / len(slopes), rel=0.15)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("distillation", [CONSISTENCY, APPEARANCE], ids=["consistency", "appearance"])
def test_every_family_is_distilled(family: str, distillation: dict[str, Any], tmp_path: Path) -> None:
    task = task_of(family, tmp_path, distillation=distillation, **PLAIN)
    defaults = task.model.defaults
    assert (defaults.scheduler, defaults.guidance_scale) == ("lcm", 1.0)
    assert defaults.num_inference_steps == distillation["num_inference_steps"]
    batch = task.dataset(ProcessGroup())[0]
    loss, scalars = task.loss(batch, context())
    assert loss.isfinite() and all(value.isfinite() for value in scalars.values())
    loss.backward()
    for name, network in task.networks.items():
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert any(gradient.any() for gradient in gradients), name
    assert task.held_out_loss(torch.device("cpu"))["loss"] > 0


def test_unlikeness_to_a_network_that_recognises_things_counts_on_request(tmp_path: Path) -> None:
    tensors = {f"features.{name}": value for name, value in alexnet_features().state_dict().items()}
    save_file(tensors, tmp_path / "alexnet.safetensors")
    distillation = {**PERCEPTUAL, "lpips_weights": tmp_path / "alexnet.safetensors"}
    task = task_of("megactor", tmp_path, distillation=distillation, **PLAIN)
    batch = task.dataset(ProcessGroup())[0]
    loss, scalars = task.loss(batch, context())
    other, _ = task_of("megactor", tmp_path, distillation=APPEARANCE, **PLAIN).loss(batch, context())
    assert scalars["lpips"] > 0
    assert (loss - other).item() == pytest.approx(2 * float(scalars["lpips"]), rel=1e-3)


@pytest.mark.parametrize(
    "settings", [SamplingOptions(), SamplingOptions(guidance_scale=4.5, scheduler="ddim")]
)
def test_a_distilled_model_is_sampled_as_it_was_made_unless_something_else_is_asked_for(
    settings: SamplingOptions,
) -> None:
    usual = tiny_config(FAMILIES["megactor"].config)
    config = AppearanceConfig.model_validate(APPEARANCE)
    distilled = few_step_model(config, usual)
    sampled = sampling_settings(distilled, settings)
    assert sampled.num_inference_steps == 2
    asked = settings.scheduler is not None
    assert (sampled.scheduler, sampled.guidance_scale) == (("ddim", 4.5) if asked else ("lcm", 1.0))
    assert sampled.note(distilled) == (
        "guidance 4.5: this model was distilled to go without; 1 suits it" if asked else ""
    )
    assert sampled.note(usual) == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_teacher_is_guided_as_in_sampling(family: str, tmp_path: Path) -> None:
    task = task_of(family, tmp_path, distillation=CONSISTENCY, **PLAIN)
    teacher = teacher_of(task)
    networks = teacher.networks
    clips, _ = task._prepared(task.dataset(ProcessGroup())[0], context())
    noisy, timesteps, guidance = (
        torch.randn_like(clips.latents),
        torch.tensor([700, 300, 20]),
        torch.tensor([1.5, 3.0, 4.5]),
    )
    found = teacher.predict(clips, noisy, timesteps, guidance, True)
    for row in range(3):
        conditions = clips.conditions.of_rows(torch.tensor([row]))
        encoder = networks.denoiser.driving_encoder
        if encoder is not None and encoder.black_unconditional:
            with torch.no_grad():
                black, _ = compose_driving(
                    encoder, torch.zeros(1, 1, 64, 64), conditions.reference.modulation
                )
            driving = replace(conditions.driving, unconditional=black.features)
            conditions = replace(conditions, driving=driving)
        sampler = ClipDenoiser(
            networks.denoiser,
            networks.reference_network,
            conditions,
            float(guidance[row]),
            controls=networks.controls,
        )
        with torch.no_grad():
            expected = sampler.predict(noisy[row : row + 1], timesteps[row : row + 1], [[0, 1]])
        torch.testing.assert_close(found[row : row + 1], expected, rtol=1e-4, atol=1e-4)


def test_the_teacher_stays_as_it_was_while_the_student_learns(tmp_path: Path) -> None:
    for lora in (None, {"rank": 2, "alpha": 2}):
        trained = {} if lora is None else {"lora": lora}
        task = task_of("megactor", tmp_path, distillation=CONSISTENCY, **PLAIN, **trained)
        teacher = teacher_of(task)
        assert bool(teacher.modules) == (lora is None)
        clips, _ = task._prepared(task.dataset(ProcessGroup())[0], context())
        arguments = clips, torch.randn_like(clips.latents), torch.tensor([700, 300, 20]), torch.ones(3), True
        before = teacher.predict(*arguments)
        with torch.no_grad():
            for name, weight in task.all_networks.module("denoiser").named_parameters(prefix="denoiser"):
                if task.trainable(name):
                    weight.add_(0.1)
        assert teacher.predict(*arguments).equal(before)
        loss, _ = task.loss(task.dataset(ProcessGroup())[0], context())
        loss.backward()
        learnt = [n for n, w in task.all_networks.module("denoiser").named_parameters() if w.grad is not None]
        assert learnt and (lora is None or all(".lora_" in name for name in learnt))


def test_a_distilled_run_that_went_on_ends_with_the_same_bits_and_samples_in_few_steps(
    denoiser_data: dict[str, Any], tmp_path: Path
) -> None:
    task = {
        **denoiser_data["task"],
        "distillation": APPEARANCE,
        "offset_noise": 0.0,
        "reference_dropout": 0.0,
    }
    task |= {"auxiliary_weight": 0.0, "validation": {**task["validation"], "num_inference_steps": 1}}
    config = TrainingConfig.model_validate(
        {**denoiser_data, "steps": 2, "checkpoint_interval": 1, "task": task}
    )

    def train(folder: Path) -> Path:
        assert Trainer(config, build_task(config, folder), folder, ProcessGroup()).run()
        return folder / "model"

    model = train(tmp_path / "once")
    shutil.copytree(tmp_path / "once", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "model")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "step_00000002")
    again = train(tmp_path / "again")
    for group in ("networks", "optimizer"):
        name = Path("checkpoints", "step_00000002", f"{group}.safetensors")
        first, second = load_file(tmp_path / "once" / name), load_file(tmp_path / "again" / name)
        assert any("discriminator" in key for key in first)
        assert first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)
    assert not (model / "discriminator.safetensors").exists()
    defaults = load_model(again).config.defaults
    assert (defaults.scheduler, defaults.num_inference_steps, defaults.guidance_scale) == ("lcm", 2, 1.0)


def test_a_model_that_predicts_noise_where_nothing_else_is_left_is_refused(tmp_path: Path) -> None:
    schedule = {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": True}
    with pytest.raises(InputError, match=r"task\.distillation: this model predicts noise"):
        task_of("megactor", tmp_path, distillation=APPEARANCE, schedule=schedule, **PLAIN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start_share": 0.5}, "start_share has to be 0.0"),
        ({"min_snr_gamma": 5.0}, "min_snr_gamma has to be None"),
        ({"offset_noise": 0.1}, "offset_noise has to be 0.0"),
        ({"distillation": {**APPEARANCE, "perceptual_weight": 2.0}}, "lpips_weights go together"),
        ({"distillation": {**CONSISTENCY, "guidance": [3.0, 1.0]}}, "the least comes first"),
        ({"distillation": PERCEPTUAL, "data": {"size": 32}}, "at least 64 pixels a side"),
    ],
)
def test_what_sampling_does_not_do_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    settings = {"initial_weights": tmp_path, "distillation": CONSISTENCY, "offset_noise": 0.0, **changes}
    with pytest.raises(ValueError, match=said):
        DenoiserTaskConfig.model_validate(settings)
