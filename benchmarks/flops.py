"""Count the work of one guided window-step on meta tensors: nothing is computed, no weights are needed.

python benchmarks/flops.py --size 512 --frames 16
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from megactor_core.models.build import build_networks
from megactor_core.models.config import ModelConfig

PUBLIC_IMPLEMENTATION = {"denoiser": 40.44e12, "reference_network": 1.60e12}
"""What the public implementation executes at 512x512, 16 frames, guided: the reference network runs twice."""


@dataclass(frozen=True)
class StepFlops:
    """Floating-point operations, a multiply-add counted as two.

    Attributes:
        denoiser: one window of one guided step, both rows.
        reference_keys_values: keys and values of the reference tokens, once per step.
        reference_network: once per step, at batch one.
        once_per_clip: keys and values of the background tokens, of both networks.
        driving_encoder: the window's driving frames, once per clip.
        vae_encode, vae_decode: one picture.
        parts: the denoiser's by component.
    """

    denoiser: int
    reference_keys_values: int
    reference_network: int
    once_per_clip: int
    driving_encoder: int
    vae_encode: int
    vae_decode: int
    parts: dict[str, int]

    @property
    def window_step(self) -> int:
        """One window of one guided step with the projection of the reference tokens."""
        return self.denoiser + self.reference_keys_values


def count_step(config: ModelConfig, size: int = 512, num_frames: int = 16, guided: bool = True) -> StepFlops:
    """Count one step of a model.

    Args:
        config: of the model.
        size: side of the picture in pixels.
        num_frames: frames of the window.
        guided: both guidance rows, else the conditional one alone.
    """
    side, rows = size // config.vae_scale_factor, 2 if guided else 1
    with torch.device("meta"), torch.inference_mode():
        networks = build_networks(config)
        denoiser, reference_network, vae = networks.denoiser, networks.reference_network, networks.vae
        patches = config.image_encoder["image_size"] // config.image_encoder["patch_size"]
        tokens = torch.empty(1, patches**2 + 1, config.denoiser.cross_attention_dim)
        timestep = torch.empty(1)
        with _counter() as once:
            context = denoiser.context_keys_values(tokens)
            reference_context = reference_network.context_keys_values(tokens)
        with _counter() as reference:
            latents = torch.empty(1, config.reference_network.in_channels, side, side)
            bank = reference_network(latents, timestep, reference_context)
        with _counter() as keys_values:
            projected = denoiser.reference_keys_values(bank)
        with _counter() as window:
            sample = torch.empty(1, config.denoiser.in_channels, num_frames, side, side)
            denoiser(sample, timestep, context, projected, rows=rows, reading_rows=1)
        with _counter() as driving:
            modulation = torch.empty(1, 2 * config.driving_encoder.channels[-1])
            denoiser.condition_input_layer(torch.empty(1, 3, num_frames, size, size), modulation)
        with _counter() as encode:
            vae.encode(torch.empty(1, 3, size, size))
        with _counter() as decode:
            vae.decode(torch.empty(1, config.vae["latent_channels"], side, side))
    return StepFlops(
        denoiser=window.get_total_flops(),
        reference_keys_values=keys_values.get_total_flops(),
        reference_network=reference.get_total_flops(),
        once_per_clip=once.get_total_flops(),
        driving_encoder=driving.get_total_flops(),
        vae_encode=encode.get_total_flops(),
        vae_decode=decode.get_total_flops(),
        parts=_parts(window.get_flop_counts()),
    )


def _counter() -> FlopCounterMode:
    return FlopCounterMode(display=False)


def _parts(counts: dict[str, dict[object, int]]) -> dict[str, int]:
    """The denoiser's direct children and, below the levels, the kinds of blocks."""
    parts: dict[str, int] = {}
    for name, operations in counts.items():
        path = name.split(".")[1:]
        kinds = ("resnets", "attentions", "motion_modules", "downsamplers", "upsamplers")
        if len(path) == 1 or (len(path) == 4 and path[2] in kinds):
            key = path[0] if len(path) == 1 else f"{path[0]}.*.{path[2]}"
            parts[key] = parts.get(key, 0) + sum(operations.values())
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default: 512)")
    parser.add_argument("--frames", type=int, default=16, help="frames of the window (default: 16)")
    parser.add_argument("--no-guidance", action="store_true", help="the conditional row alone")
    args = parser.parse_args()
    step = count_step(ModelConfig(), args.size, args.frames, not args.no_guidance)
    rows = "one row" if args.no_guidance else "guided"
    print(f"TFLOP at {args.size}x{args.size}, {args.frames} frames, {rows}")
    for name, flops in step.parts.items():
        print(f"    {name:32}{flops / 1e12:9.2f}")
    for name, flops in (
        ("denoiser, per window and step", step.denoiser),
        ("reference keys/values, per step", step.reference_keys_values),
        ("window-step", step.window_step),
        ("reference network, per step", step.reference_network),
        ("background keys/values, per clip", step.once_per_clip),
        ("driving encoder, per clip", step.driving_encoder),
        ("VAE encode, per clip", step.vae_encode),
        ("VAE decode, per frame", step.vae_decode),
    ):
        print(f"{name:36}{flops / 1e12:9.2f}")
    if (args.size, args.frames, args.no_guidance) == (512, 16, False):
        ours, theirs = step.window_step, PUBLIC_IMPLEMENTATION["denoiser"]
        print(f"public implementation, window-step  {theirs / 1e12:9.2f}, {theirs / ours:.2f} times as much")


if __name__ == "__main__":
    main()
