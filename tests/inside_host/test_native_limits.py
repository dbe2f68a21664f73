"""What the help page of Apply MegActor says of the host's patches: they have no effect, or fail at once."""

from __future__ import annotations

from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.sample
import pytest
import torch
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.nodes.host.native_clip import native_clip
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.sampling_inputs import sampling_settings
from test_native_model import SEED, STEPS, difference, ksampler, make_clip, unit_noise


def perturbed_attention(patcher: Any) -> Any:
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    return PerturbedAttentionGuidance.execute(patcher, 3.0)[0]


def hyper_tile(patcher: Any) -> Any:
    from comfy_extras.nodes_hypertile import HyperTile

    return HyperTile.execute(patcher, 32, 2, 0, False)[0]


def merged_tokens(patcher: Any) -> Any:
    from comfy_extras.nodes_tomesd import TomePatchModel

    return TomePatchModel.execute(patcher, 0.5)[0]


@pytest.mark.parametrize("change", [perturbed_attention, hyper_tile, merged_tokens])
def test_patches_of_attention_have_no_effect(model: PortraitModel, change: Any) -> None:
    clip = make_clip(4)
    assert difference(ksampler(model, clip, 2.0, change), ksampler(model, clip, 2.0)) < 1e-5


def test_free_u_fails(model: PortraitModel) -> None:
    from comfy_extras.nodes_freelunch import FreeU, FreeU_V2

    patcher = native_clip(model, make_clip(4), sampling_settings(model.config))[0]
    for node in (FreeU, FreeU_V2):
        with pytest.raises(KeyError, match="model_channels"):
            node.execute(patcher, 1.1, 1.2, 0.9, 0.2)


def test_self_attention_guidance_fails(model: PortraitModel) -> None:
    from comfy_extras.nodes_sag import SelfAttentionGuidance

    with pytest.raises((AttributeError, TypeError)):
        ksampler(
            model, make_clip(4), 2.0, lambda patcher: SelfAttentionGuidance.execute(patcher, 0.5, 2.0)[0]
        )


def test_a_control_net_is_refused(model: PortraitModel) -> None:
    from nodes import ControlNetApplyAdvanced

    network = comfy.cldm.cldm.ControlNet(
        image_size=8,
        in_channels=4,
        model_channels=32,
        hint_channels=3,
        num_res_blocks=[1],
        channel_mult=(1,),
        num_heads=2,
        use_spatial_transformer=True,
        transformer_depth=[0],
        transformer_depth_middle=-1,
        context_dim=16,
    )
    control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))
    patcher, positive, negative, latent = native_clip(model, make_clip(4), sampling_settings(model.config))
    positive, negative = ControlNetApplyAdvanced().apply_controlnet(
        positive, negative, control, torch.zeros(1, 64, 64, 3), 1.0, 0.0, 1.0
    )
    samples = latent["samples"]
    with pytest.raises(InputError, match="Remove Apply ControlNet"):
        comfy.sample.sample(
            patcher,
            samples,
            2,
            1.0,
            "ddim",
            "simple",
            positive,
            negative,
            samples,
            seed=SEED,
            disable_pbar=True,
        )


def test_the_custom_sampler_gives_what_ksampler_gives(model: PortraitModel) -> None:
    from comfy_extras.nodes_custom_sampler import (
        BasicScheduler,
        CFGGuider,
        KSamplerSelect,
        SamplerCustomAdvanced,
    )

    class Noise:
        seed = SEED

        def generate_noise(self, latent: Any) -> torch.Tensor:
            return unit_noise(4)

    clip = make_clip(4)
    patcher, positive, negative, latent = native_clip(model, clip, sampling_settings(model.config))
    guider = CFGGuider.execute(patcher, positive, negative, 2.0)[0]
    sigmas = BasicScheduler.execute(patcher, "ddim_uniform", STEPS, 1.0)[0]
    sampler = KSamplerSelect.execute("ddim")[0]
    result = SamplerCustomAdvanced.execute(Noise(), guider, sampler, sigmas, latent)[0]["samples"]
    assert difference(result, ksampler(model, clip, 2.0)) < 1e-5


def test_denoise_below_one_stays_near_the_clip_it_is_given(model: PortraitModel) -> None:
    clip = make_clip(4)
    finished = ksampler(model, clip)
    patcher, positive, negative, latent = native_clip(model, clip, sampling_settings(model.config))

    def half(samples: torch.Tensor) -> torch.Tensor:
        return comfy.sample.sample(
            patcher,
            unit_noise(4),
            STEPS,
            1.0,
            "ddim",
            "simple",
            positive,
            negative,
            samples,
            denoise=0.2,
            seed=SEED,
            disable_pbar=True,
        )

    empty = latent["samples"]
    assert difference(half(finished), finished) < difference(half(empty), finished)


@pytest.mark.parametrize("change", ["zero out", "average", "concat", "multiply"])
def test_nodes_that_change_texts_are_refused(model: PortraitModel, change: str) -> None:
    import nodes

    patcher, positive, negative, latent = native_clip(model, make_clip(4), sampling_settings(model.config))
    text = [[torch.ones(1, 77, positive[0][0].shape[-1]), {}]]
    if change == "zero out":
        negative = nodes.ConditioningZeroOut().zero_out(positive)[0]
    elif change == "average":
        positive = nodes.ConditioningAverage().addWeighted(positive, text, 0.5)[0]
    elif change == "concat":
        positive = nodes.ConditioningConcat().concat(positive, text)[0]
    else:
        positive = [[2 * positive[0][0], positive[0][1]]]
    samples = latent["samples"]
    with pytest.raises(InputError, match="changed by a node for texts"):
        comfy.sample.sample(
            patcher, samples, 2, 2.0, "ddim", "simple", positive, negative, samples, disable_pbar=True
        )


def test_a_part_of_the_schedule_is_no_change(model: PortraitModel) -> None:
    import nodes

    patcher, positive, negative, latent = native_clip(model, make_clip(4), sampling_settings(model.config))
    positive = nodes.ConditioningSetTimestepRange().set_range(positive, 0.0, 1.0)[0]
    samples = latent["samples"]
    comfy.sample.sample(
        patcher, samples, 2, 2.0, "ddim", "simple", positive, negative, samples, disable_pbar=True, seed=SEED
    )
