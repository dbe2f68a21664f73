"""Another architecture is a configuration, two networks and an entry in ``DENOISERS``: the rest takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from patch_mixer import KIND, PatchMixer, PatchMixerConfig, PatchReference
from pydantic import ValidationError
from tiny_model import CHANNELS, portrait_image, tiny_config, tiny_networks, write_driver

from megactor_core.animation.memory import weight_bytes, working_bytes
from megactor_core.animator import Animator
from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.models.config import ModelConfig
from megactor_core.models.kinds import DENOISERS
from megactor_core.models.networks import Networks
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.sampling.sampler import SamplingSettings, sample
from megactor_core.seeds import torch_generator
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.tasks.base import StepContext
from megactor_core.training.tasks.registry import build_task
from megactor_core.validation import explain
from megactor_core.weights.loading import load_model
from megactor_core.weights.saving import save_model

FRAMES, CELLS = 11, 8


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(DENOISERS, "patch_mixer", KIND)
    yield


def config_of() -> ModelConfig:
    return tiny_config(denoiser=PatchMixerConfig(), reference_network=PatchMixerConfig(in_channels=CHANNELS))


def conditions_of(seed: int = 0, cells: int = CELLS) -> Conditions:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Conditions(
        ReferenceCondition(
            random(1, CHANNELS, cells, cells),
            random(1, CHANNELS + 1, 1, cells, cells),
            torch.empty(1, 0),
        ),
        BackgroundCondition(random(1, 5, 16)),
        DrivingCondition(random(1, 4, FRAMES, cells, cells)),
    )


def sampled(networks: Networks, conditions: Conditions, **changes: object) -> torch.Tensor:
    config = config_of()
    settings = replace(SamplingSettings.from_defaults(config.defaults), **changes)
    return sample(networks, config, conditions, settings)


def test_a_clip_is_sampled_with_guidance_and_windows() -> None:
    networks = tiny_networks(config_of())
    assert isinstance(networks.denoiser, PatchMixer)
    assert isinstance(networks.reference_network, PatchReference)
    conditions = conditions_of()
    clip = sampled(networks, conditions)
    assert clip.shape == (1, CHANNELS, FRAMES, CELLS, CELLS) and torch.isfinite(clip).all()
    assert sampled(networks, conditions_of(cells=9)).shape[-2:] == (9, 9)
    # guidance, windows, the portrait and the driver each count
    assert not torch.allclose(clip, sampled(networks, conditions, guidance_scale=1.0), atol=1e-3)
    assert not torch.allclose(clip, sampled(networks, conditions, context_length=16), atol=1e-4)
    other = conditions_of(1)
    for name in ("reference", "driving", "background"):
        changed = replace(conditions, **{name: getattr(other, name)})
        assert not torch.allclose(clip, sampled(networks, changed), atol=1e-4), name
    # guidance 1 reads the reference too; a strong one moves away from what does not
    alone, almost = (sampled(networks, conditions, guidance_scale=scale) for scale in (1.0, 1.00001))
    torch.testing.assert_close(alone, almost, atol=1e-3, rtol=1e-3)


def test_frames_may_stand_at_timesteps_of_their_own() -> None:
    denoiser = tiny_networks(config_of()).denoiser
    latents = torch.randn(1, 13, 4, CELLS, CELLS, generator=torch.Generator().manual_seed(0))
    context = denoiser.context_keys_values(torch.ones(1, 3, 16))
    one = denoiser.denoise(latents, torch.tensor([300]), context, rows=2)
    torch.testing.assert_close(denoiser.denoise(latents, torch.full((2, 4), 300), context, rows=2), one)


def test_memory_is_reckoned_with_what_the_configuration_says() -> None:
    config = config_of()
    settings = SamplingSettings.from_defaults(config.defaults, context_length=8)
    widths = [replace(config, denoiser=replace(config.denoiser, width=width)) for width in (2**14, 2**15)]
    less, more = (working_bytes(one, settings, 512, 100, torch.float32) for one in widths)
    cells, rows = 8 * 64 * 64, 2
    values = [one.denoiser.activation_values(cells) for one in widths]
    assert more - less == (values[1] - values[0]) * rows * 4
    assert weight_bytes(config, torch.float32)["denoiser"] == 4 * sum(
        tensor.numel() for tensor in tiny_networks(config).module("denoiser").state_dict().values()
    )


def test_a_model_folder_is_loaded_and_animated(tmp_path: Path) -> None:
    config = config_of()
    save_model(config, tiny_networks(config), tmp_path / "model", torch.float32)
    said = json.loads((tmp_path / "model" / "config.json").read_text())
    assert said["denoiser"]["kind"] == said["reference_network"]["kind"] == "patch_mixer"
    model = load_model(tmp_path / "model")
    assert model.config == config and isinstance(model.networks.denoiser, PatchMixer)
    driver = write_driver(tmp_path / "driver.mp4", num_frames=9)
    report = Animator(model).animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole")
    assert report.num_frames == 9 and (tmp_path / "out.mp4").is_file()


def test_it_is_trained(tmp_path: Path) -> None:
    schedule = {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    task = {
        "name": "denoiser",
        "model": {**config_of().to_dict(), "training_scheduler": schedule, "inference_scheduler": schedule},
        "trainable": ["denoiser.", "reference_network."],
        "motion_modules": True,
        "data": {"size": 64, "references": 2, "frames": 2, "whole_frame_rate": 0.4},
        "sample_latents": False,
        "validation": {"clips": 1, "frames": 4, "num_inference_steps": 2},
    }
    config = TrainingConfig.model_validate({"seed": 3, "steps": 1, "num_workers": 0, "task": task})
    trained = build_task(config, tmp_path)
    context = StepContext(0, 1, torch_generator(1, 1, 0), ProcessGroup())
    loss, _ = trained.loss(trained.dataset(ProcessGroup())[0], context)
    loss.backward()
    for name in ("denoiser", "reference_network"):
        gradients = [p.grad for p in trained.networks[name].parameters() if p.grad is not None]
        assert any(gradient.any() for gradient in gradients), name


def test_a_configuration_that_says_no_kind_is_a_unet() -> None:
    data = tiny_config().to_dict()
    assert "kind" not in data["denoiser"]
    assert isinstance(ModelConfig.from_dict(data).denoiser, UNetConfig)
    data["denoiser"]["kind"] = "unet"
    assert ModelConfig.from_dict(data) == tiny_config()


@pytest.mark.parametrize(
    ("denoiser", "message"),
    [
        (
            {"kind": "lattice"},
            "field denoiser: kind 'lattice' is not known (allowed: unet, dit, patch_mixer)",
        ),
        ({"kind": "patch_mixer", "width": 0}, "field denoiser.width: Input should be greater than or equal"),
        ({"kind": "patch_mixer", "wdth": 8}, "unknown field denoiser.wdth (allowed: "),
        ({"block_out_channels": []}, "field denoiser.block_out_channels: Tuple should have at least 1 item"),
        ({"in_chanels": 4}, "did you mean in_channels?"),
        (7, "field denoiser: Input should be a dictionary or an instance of UNetConfig"),
    ],
)
def test_a_wrong_configuration_is_told_by_its_field(denoiser: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelConfig.from_dict({"denoiser": denoiser})
    assert message in explain(caught.value, ModelConfig)


@pytest.mark.parametrize(("in_channels", "joins"), [(13, True), (8, False)])
def test_old_configurations_say_by_their_channels_what_joins_the_latent(
    in_channels: int, joins: bool
) -> None:
    data = tiny_config().to_dict()
    data["denoiser"]["in_channels"] = in_channels
    del data["concatenated_reference"]
    config = ModelConfig.from_dict(data)
    assert config.concatenated_reference is joins
    assert ModelConfig.from_dict(config.to_dict()) == config
