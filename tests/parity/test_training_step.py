"""One training step of either MegActor has the reference's prediction, loss and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formula import Case
from networks import (
    golden_vae,
    megactor_denoiser,
    megactor_reference_network,
    sigma_denoiser,
    sigma_driving,
    sigma_sound,
)


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
    modulation = denoiser.condition_input_layer.modulation(torch.cat([picture, picture.flip(-1)]))
    driving = denoiser.condition_input_layer(case.input("driving").movedim(-1, 1), modulation)
    conditions = [
        case.input("noisy_latent"),
        case.input("concat_latent"),
        case.input("background_mask"),
        driving,
    ]
    timestep, tokens = torch.tensor(case.input("t")), case.input("emb")
    bank = network(latents.clone(), timestep, network.context_keys_values(tokens))
    prediction = denoiser(
        torch.cat(conditions, dim=1),
        timestep,
        denoiser.context_keys_values(tokens),
        denoiser.reference_keys_values(bank),
    )
    check_training_step(case, prediction, denoiser, network)


@pytest.mark.golden_case("train_step", family="megactor_sigma")
def test_sigma_training_step(case: Case) -> None:
    denoiser, network = sigma_denoiser(case), megactor_reference_network(case)
    timestep, text = torch.tensor([case.input("t")]), case.input("text")
    bank = network(case.input("ref_latent"), timestep, network.context_keys_values(text))
    prediction = denoiser(
        torch.cat([case.input("latent"), sigma_driving(denoiser, case.input("driving"))], dim=1),
        timestep,
        denoiser.context_keys_values(text),
        denoiser.reference_keys_values(bank),
        audio=sigma_sound(denoiser, case),
    )
    check_training_step(case, prediction, denoiser, network)
