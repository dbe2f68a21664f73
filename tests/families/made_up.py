"""A family that nobody has published, as a newcomer adds one: everything about it in this file."""

from __future__ import annotations

from tiny_model import tiny_config

from megactor_core.families.family import CheckpointLayout, Family, Kind, KnownFile

CONFIG = tiny_config(family="made-up")

FAMILY = Family(
    label="Made-Up",
    phrase="a Made-Up",
    config=CONFIG,
    checkpoints=(Kind("made-up", "a Made-Up checkpoint", (".painter.condition_input_layer.",)),),
    layout=CheckpointLayout(
        parts={
            "painter.": "denoiser",
            "onlooker.": "reference_network",
            "first_stage.": "vae",
            "clip.": "image_encoder",
        },
        wrapper="net.",
        ignored=("teacher.*",),
    ),
    places={"denoiser": (), "reference_network": (), "vae": (), "image_encoder": ("encoder",)},
    files=(
        KnownFile(
            name="made-up-checkpoint",
            family="made-up",
            file="official/made-up/made-up.safetensors",
            repository="nobody/made-up",
            path="made-up.safetensors",
            licence="none",
            purpose="all networks of it",
        ),
    ),
)
