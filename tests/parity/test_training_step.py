"""One training step of either MegActor has the reference's prediction, loss and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from formula import Case
from networks import (
    golden_vae,
    in_rows,
    megactor_denoiser,
    megactor_reference_network,
    sigma_denoiser,
    sigma_driving,
    timesteps_of,
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
    loss = (prediction.float() - case.input("target").float()).square().mean()
    loss.backward()
    gradients = {
        f"{prefix}.{name}": parameter.grad
        for prefix, module in zip(("unet", "appearance_encoder"), networks, strict=True)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    names = case.table()["parameters_with_grad_sorted"]
    assert sorted(gradients) == names
    norms = case.part("grad_norms", np.array([gradients[name].norm().item() for name in names]))
    expected = case.stored[case.spec["outputs"]["grad_norms"]["tensor"]]
    np.testing.assert_allclose(norms, expected, rtol=1e-3, atol=case.spec["outputs"]["grad_norms"]["atol"])
    outputs = {f"grad.{name}": gradient for name, gradient in gradients.items()}
    outputs |= {"pred": prediction, "loss": loss}
    case.check_all(outputs, "pred", "loss", "grad.unet.*", elsewhere={"grad_norms"})


@pytest.mark.golden_case("train_step")
def test_training_step(case: Case) -> None:
    denoiser, network, vae = megactor_denoiser(case), megactor_reference_network(case), golden_vae(case)
    with torch.inference_mode():
        latents = vae.encode(case.input("source_image")).latent_dist.mean * vae.config.scaling_factor
    noisy = case.input("noisy_latent")
    rows, picture = len(noisy), case.input("reference_u8").float() / 255
    if len(picture) == 1:  # every other clip has the reference's mirror image
        picture = torch.cat([picture, picture.flip(-1)] * rows)[:rows]
    reference = compose_reference(
        denoiser,
        picture,
        masks=case.input("background_mask")[:, :, 0],
        mean=latents.clone(),
        concatenated=case.input("concat_latent")[:, :, 0],
    )
    driving = denoiser.condition_input_layer(case.input("driving").movedim(-1, 1), reference.modulation)
    conditions = Conditions(reference, BackgroundCondition(case.input("emb")), DrivingCondition(driving))
    prediction = predict_clips(
        Networks(denoiser, network, vae),
        conditions,
        noisy,
        in_rows(timesteps_of(case), rows),
    )
    check_training_step(case, prediction, denoiser, network)


@pytest.mark.golden_case("train_step", family="megactor_sigma")
def test_sigma_training_step(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    noisy = case.input("latent")
    rows, latents = len(noisy), case.input("ref_latent")
    audio = case.input("audio").flatten(0, 1)
    frames = torch.arange(len(audio))
    conditions = Conditions(
        ReferenceCondition(latents, latents[:, :0, None], latents.new_empty(rows, 0)),
        BackgroundCondition(in_rows(case.input("text"), rows)),
        DrivingCondition(sigma_driving(denoiser, case.input("driving"))),
        AudioCondition(audio, frames[:, None], torch.ones(len(frames))),
    )
    prediction = predict_clips(
        Networks(denoiser, network, AutoencoderKL()),
        conditions,
        noisy,
        in_rows(timesteps_of(case), rows),
    )
    check_training_step(case, prediction, denoiser, network)
