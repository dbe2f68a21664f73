"""One training step of either MegActor has the reference's prediction, loss and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from formula import Case
from networks import (
    golden_vae,
    megactor_denoiser,
    megactor_reference_network,
    sigma_denoiser,
    sigma_driving,
)

from megactor_core.conditioning.reference import compose_reference
from megactor_core.models.conditions import (
    AudioCondition,
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.models.networks import Networks
from megactor_core.training.tasks.prediction import predict_clips


def check_training_step(case: Case, prediction: torch.Tensor, *networks: torch.nn.Module) -> None:
    """Prediction, loss and gradients of denoiser and reference network."""
    case.check("pred", prediction)
    loss = (prediction.float() - case.input("target").float()).square().mean()
    case.check("loss", loss)
    loss.backward()
    gradients = {
        f"{prefix}.{name}": parameter.grad
        for prefix, module in zip(("unet", "appearance_encoder"), networks, strict=True)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    names = case.table()["parameters_with_grad_sorted"]
    assert sorted(gradients) == names
    norms = np.array([gradients[name].norm().item() for name in names])
    expected = case.stored[case.spec["outputs"]["grad_norms"]["tensor"]]
    np.testing.assert_allclose(norms, expected, rtol=1e-3, atol=case.spec["outputs"]["grad_norms"]["atol"])
    for name in case.config["full_grads"]:
        case.check(f"grad.{name}", gradients[name])


@pytest.mark.golden_case("train_step")
def test_training_step(case: Case) -> None:
    denoiser, network, vae = megactor_denoiser(case), megactor_reference_network(case), golden_vae(case)
    with torch.inference_mode():
        latents = vae.encode(case.input("source_image")).latent_dist.mean * vae.config.scaling_factor
    picture = case.input("reference_u8").float() / 255
    reference = compose_reference(
        denoiser,
        torch.cat([picture, picture.flip(-1)]),
        masks=case.input("background_mask")[:, :, 0],
        mean=latents.clone(),
        concatenated=case.input("concat_latent")[:, :, 0],
    )
    driving = denoiser.condition_input_layer(case.input("driving").movedim(-1, 1), reference.modulation)
    conditions = Conditions(reference, BackgroundCondition(case.input("emb")), DrivingCondition(driving))
    prediction = predict_clips(
        Networks(denoiser, network, vae),
        conditions,
        case.input("noisy_latent"),
        torch.tensor(case.input("t")),
    )
    check_training_step(case, prediction, denoiser, network)


@pytest.mark.golden_case("train_step", family="megactor_sigma")
def test_sigma_training_step(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    latents = case.input("ref_latent")
    audio, frames = case.input("audio").flatten(0, 1), torch.arange(case.config["frames"])
    conditions = Conditions(
        ReferenceCondition(latents, latents[:, :0, None], latents.new_empty(1, 0)),
        BackgroundCondition(case.input("text")),
        DrivingCondition(sigma_driving(denoiser, case.input("driving"))),
        AudioCondition(audio, frames[:, None], torch.ones(len(frames))),
    )
    prediction = predict_clips(
        Networks(denoiser, network, AutoencoderKL()),
        conditions,
        case.input("latent"),
        torch.tensor([case.input("t")]),
    )
    check_training_step(case, prediction, denoiser, network)
