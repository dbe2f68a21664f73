"""Networks of a golden case, built from the configuration found in it."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from formula import Case, layout_crc32

from megactor_core.families.megactor_sigma import CONFIG as MEGACTOR_SIGMA
from megactor_core.models.denoiser import KeyValues
from megactor_core.models.encoder_config import DrivingEncoderConfig
from megactor_core.models.sd15.config import UNetConfig
from megactor_core.models.sd15.reference import ReferenceNetwork
from megactor_core.models.sd15.unet import DenoisingUNet


def unet_config(config: dict[str, Any], **changes: Any) -> UNetConfig:
    """The sizes a case names; what it leaves out is common to all cases."""
    widths = tuple(config["block_out_channels"])
    named = ("layers_per_block", "num_attention_heads", "norm_num_groups", "motion_max_positions")
    changes |= {name: config[name] for name in named if name in config}
    return UNetConfig(
        block_out_channels=widths,
        attention_levels=(True,) * (len(widths) - 1) + (False,),
        cross_attention_dim=config["cross_attention_dim"],
        **changes,
    )


def megactor_denoiser(case: Case) -> DenoisingUNet:
    denoiser = DenoisingUNet(unet_config(case.config), DrivingEncoderConfig())
    assert layout_crc32(denoiser, "unet.") == case.spec["weights"]["unet."]["layout_crc32"]
    return case.fill(denoiser, "unet.")  # type: ignore[return-value]


def megactor_reference_network(case: Case) -> ReferenceNetwork:
    config = unet_config(case.config, in_channels=4, out_channels=0, motion_modules=False)
    network = ReferenceNetwork(config)
    group = case.spec["weights"]["appearance_encoder."]
    assert layout_crc32(network, "appearance_encoder.") == group["layout_crc32"]
    return case.fill(network, "appearance_encoder.")  # type: ignore[return-value]


def golden_vae(case: Case) -> AutoencoderKL:
    widths = case.config["vae_block_out_channels"]
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=tuple(widths),
        layers_per_block=case.config.get("vae_layers_per_block", 1),
        latent_channels=4,
        scaling_factor=0.18215,
    )
    assert layout_crc32(vae, "vae.") == case.spec["weights"]["vae."]["layout_crc32"]
    return case.fill(vae, "vae.")  # type: ignore[return-value]


def in_rows(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """One for every row, of a tensor that has one row for all or as many as asked for."""
    return tensor.expand(rows, *tensor.shape[1:])


def row_of(tensor: torch.Tensor, row: int) -> torch.Tensor:
    """A single row, of a tensor that has one row for all or several."""
    return tensor if len(tensor) == 1 else tensor[[row]]


def guided(tensor: torch.Tensor) -> torch.Tensor:
    """Of several clips, those of the unconditional rows before those of the conditional rows.

    A single one serves both.
    """
    return tensor if len(tensor) == 1 else torch.cat([tensor, tensor])


def timesteps_of(case: Case) -> torch.Tensor:
    """One for all rows or one per row."""
    return torch.as_tensor(case.input("t")).reshape(-1)


def driving_modulation(case: Case, denoiser: DenoisingUNet) -> torch.Tensor:
    """One row per clip."""
    modulation = denoiser.condition_input_layer.modulation(case.input("reference_u8").float() / 255)
    return in_rows(modulation, len(case.input("driving")))


def static_conditions(case: Case, denoiser: DenoisingUNet) -> torch.Tensor:
    """What joins the noisy latent in MegActor's input."""
    driving = denoiser.condition_input_layer(case.input("driving"), driving_modulation(case, denoiser))
    rows = len(case.input("noisy_latent"))
    parts = (case.input("concat_latent"), case.input("background_mask"), driving)
    return torch.cat([in_rows(part, rows) for part in parts], dim=1)


def watch(denoiser: DenoisingUNet) -> dict[str, torch.Tensor]:
    """Outputs ``(rows * frames, channels, h, w)`` of levels and of all modules in them, in later passes."""
    taps: dict[str, torch.Tensor] = {}
    levels = {"mid": denoiser.mid_block}
    levels |= {f"down{i}": level for i, level in enumerate(denoiser.down_blocks)}
    levels |= {f"up{i}": level for i, level in enumerate(denoiser.up_blocks)}
    modules = {"conv_in": denoiser.conv_in, **levels}
    for name, level in levels.items():
        for kind in ("resnets", "attentions", "motion_modules"):
            short = kind.removesuffix("s").removesuffix("_module")
            modules |= {f"{name}.{short}{i}": module for i, module in enumerate(getattr(level, kind, ()))}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _m, _i, output, name=name: taps.__setitem__(
                name, output[0] if isinstance(output, tuple) else output
            )
        )
    return taps


def sigma_denoiser(case: Case) -> DenoisingUNet:
    official = MEGACTOR_SIGMA.denoiser
    config = unet_config(
        case.config,
        in_channels=official.in_channels,
        motion_in_middle=official.motion_in_middle,
        audio_dim=official.audio_dim,
    )
    denoiser = DenoisingUNet(config, MEGACTOR_SIGMA.driving_encoder)
    assert layout_crc32(denoiser, "unet.") == case.spec["weights"]["unet."]["layout_crc32"]
    return case.fill(denoiser, "unet.")  # type: ignore[return-value]


def sigma_driving(denoiser: DenoisingUNet, frames: torch.Tensor) -> torch.Tensor:
    """Frames ``(1, 3, frames, H, W)`` in [0, 1] -> channels that join the noisy latent."""
    return denoiser.condition_input_layer(frames, frames.new_empty(1, 0))


def sigma_sound(denoiser: DenoisingUNet, case: Case) -> dict[str, KeyValues]:
    return denoiser.audio_keys_values(case.input("audio").flatten(0, 1))
