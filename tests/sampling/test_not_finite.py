"""What stops being finite is computed in float32 where that helps, or refused: never a black video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import portrait_image, tiny_config, tiny_model, tiny_networks, write_driver

from megactor_core.animator import Animator
from megactor_core.conditioning.posterior import encode_posterior
from megactor_core.errors import InputError
from megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    ControlCondition,
    DrivingCondition,
    ReferenceCondition,
    StartCondition,
)
from megactor_core.models.networks import Networks
from megactor_core.sampling.decode import decode_latents
from megactor_core.sampling.sampler import Progress, SamplingSettings, sample

CONFIG = tiny_config()
PICTURE = portrait_image(64, 64).astype(np.uint8)
LATENTS = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(0))
NAN = float("nan")
CPU = torch.device("cpu")


def networks(dtype: torch.dtype = torch.float32) -> Networks:
    built = tiny_networks(CONFIG)
    for _, network in built.items():
        network.to(dtype)
    return built


NETWORKS = networks()


def overflowing(dtype: torch.dtype) -> Networks:
    """With a VAE whose first layers' outputs are beyond float16, as of some published ones; norms follow."""
    built = networks()
    for layer in (built.vae.decoder.conv_in, built.vae.encoder.conv_in):
        layer.weight.mul_(1e5)
        layer.bias.mul_(1e5)
    assert all(part.abs().max() < 65504 for part in built.vae.parameters())
    built.vae.to(dtype)
    return built


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_vae_that_overflows_works_in_float32(dtype: torch.dtype) -> None:
    exact = list(decode_latents(overflowing(torch.float32).vae, LATENTS))
    vae = overflowing(dtype).vae
    notes: list[str] = []
    frames = list(decode_latents(vae, LATENTS, notes.append))
    np.testing.assert_allclose(frames, exact, atol=0.05)
    assert notes == (
        ["the VAE overflows in its number format: frames are decoded in float32"] * (dtype == torch.float16)
    )
    assert {weight.dtype for weight in vae.parameters()} == {dtype}
    for ours, theirs in zip(
        encode_posterior(vae, PICTURE), encode_posterior(overflowing(torch.float32).vae, PICTURE), strict=True
    ):
        torch.testing.assert_close(ours.float(), theirs, atol=0.05, rtol=0.05)


def test_a_vae_that_overflows_under_autocast_works_in_float32() -> None:
    """As where a training in fp16 is validated; its weights stay those of the training."""
    vae = overflowing(torch.float32).vae
    exact = list(decode_latents(vae, LATENTS))
    weights = list(vae.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        frames = list(decode_latents(vae, LATENTS))
    np.testing.assert_array_equal(frames, exact)
    assert not any(weight.is_inference() for weight in weights)
    assert all(one is other for one, other in zip(vae.parameters(), weights, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("network", ["decoder", "encoder"])
def test_a_vae_that_never_works_leaves_no_file(tmp_path: Path, dtype: torch.dtype, network: str) -> None:
    model = tiny_model()
    getattr(model.networks.vae, network).conv_in.bias.fill_(NAN)
    model.networks.vae.to(dtype)
    driver = write_driver(tmp_path / "driver.mp4", 3)
    with pytest.raises(InputError, match=r"picture: is not|frame: is not finite, even in float32\. Check"):
        Animator(model).animate(portrait_image(), driver, tmp_path / "out.mp4", crop="whole")
    assert [path.name for path in tmp_path.iterdir()] == ["driver.mp4"]


def make_conditions() -> Conditions:
    reference = ReferenceCondition(LATENTS[:, :, 0].clone(), torch.zeros(1, 5, 1, 8, 8), torch.zeros(1, 16))
    return Conditions(
        reference,
        BackgroundCondition(torch.zeros(1, 5, 16)),
        DrivingCondition(torch.zeros(1, 4, 5, 8, 8), torch.zeros(1, 4, 1, 8, 8)),
        AudioCondition(torch.zeros(4, 2, 8), torch.zeros(5, 3, dtype=torch.int64), torch.ones(5)),
        StartCondition(LATENTS.clone()),
        {"face_control": ControlCondition(torch.zeros(5, 8, 8, 8))},
    )


@pytest.mark.parametrize(
    ("part", "name", "called"),
    [
        ("reference", "latents", "portrait"),
        ("reference", "static_channels", "portrait"),
        ("reference", "modulation", "portrait"),
        ("background", "tokens", "background"),
        ("driving", "features", "driver"),
        ("driving", "unconditional", "driver"),
        ("audio", "features", "sound"),
        ("audio", "weight", "sound"),
        ("start", "latents", "start video"),
        ("controls", "features", "hint face_control"),
    ],
)
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_conditions_that_are_not_finite_are_named_before_sampling(
    part: str, name: str, called: str, value: float
) -> None:
    conditions = make_conditions()
    broken = conditions.controls["face_control"] if part == "controls" else getattr(conditions, part)
    getattr(broken, name).view(-1)[-1] = value
    with pytest.raises(InputError, match=rf"^the encoded {called}: is not finite, even in float32\. Check"):
        run(conditions)
    half = conditions.to(CPU, torch.float16)
    if part != "controls":
        match = f"^float16: the encoded {called} is not finite in this precision. Use bfloat16 or float32"
        with pytest.raises(InputError, match=match):
            half.check_finite()


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (torch.float16, "^float16: the model's result is not finite in this precision. Use bfloat16 or"),
        (torch.bfloat16, "^bfloat16: the model's result is not finite in this precision. Use float32"),
        (torch.float32, "^the model's result: is not finite, even in float32. Leave out LoRAs"),
    ],
)
def test_a_result_that_is_not_finite_is_refused_after_the_first_step(
    dtype: torch.dtype, message: str
) -> None:
    built = networks(dtype)
    built.denoiser.conv_out.bias.fill_(NAN)
    steps = set()
    with pytest.raises(InputError, match=message):
        conditions = replace(make_conditions(), audio=None, start=None, controls={})
        run(conditions.to(CPU, dtype), built, lambda progress: steps.add(progress.step))
    assert steps == {0}


def run(
    conditions: Conditions,
    built: Networks = NETWORKS,
    on_progress: Callable[[Progress], None] | None = None,
) -> torch.Tensor:
    settings = SamplingSettings.from_defaults(CONFIG.defaults, num_inference_steps=3)
    return sample(built, CONFIG, conditions, settings, on_progress=on_progress)
