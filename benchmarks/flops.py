"""Count the work of one guided window-step on meta tensors: nothing is computed, no weights are needed.

python benchmarks/flops.py --size 512 --frames 16
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from megactor_core.families.registry import FAMILIES, default_family
from megactor_core.hearing.features import ROWS_PER_SECOND
from megactor_core.models.config import ModelConfig
from megactor_core.models.denoiser import add_up, gather_rows
from megactor_core.models.encoder_config import WINDOW_ROWS
from megactor_core.models.networks import build_networks

FRAME_RATE = 25


@dataclass(frozen=True)
class StepFlops:
    """Floating-point operations, a multiply-add counted as two.

    Attributes:
        denoiser: one window of one guided step, both rows.
        reference_keys_values: keys and values of the reference tokens, once per step.
        reference_network: once per step, at batch one.
        once_per_clip: keys and values of the context tokens, of all networks, and of the window's sound.
        controls: what the ControlNets add, one window of one step.
        driving_encoder: the window's driving frames or hints, once per clip.
        vae_encode, vae_decode: one picture.
        parts: the denoiser's by component.
    """

    denoiser: int
    reference_keys_values: int
    reference_network: int
    once_per_clip: int
    controls: int
    driving_encoder: int
    vae_encode: int
    vae_decode: int
    parts: dict[str, int]

    @property
    def window_step(self) -> int:
        """One window of one guided step with its ControlNets and the projection of the reference tokens."""
        return self.denoiser + self.reference_keys_values + self.controls


def count_step(config: ModelConfig, size: int = 512, num_frames: int = 16, guided: bool = True) -> StepFlops:
    """Count one step of a model.

    Args:
        config: of the model.
        size: side of the picture in pixels.
        num_frames: frames of the window.
        guided: both guidance rows, else the conditional one alone.
    """
    side, rows = config.latent_space.cells(size), 2 if guided else 1
    with torch.device("meta"), torch.inference_mode():
        networks = build_networks(config)
        denoiser, reference_network, vae = networks.denoiser, networks.reference_network, networks.vae
        tokens = torch.empty(1, _context_length(config), config.denoiser.cross_attention_dim)
        timestep = torch.empty(1)
        with _counter() as once:
            context = denoiser.context_keys_values(tokens)
            reference_context = reference_network.context_keys_values(tokens)
            audio_rows = num_frames * ROWS_PER_SECOND // FRAME_RATE
            states = 0 if config.audio_encoder is None else config.audio_encoder.states
            features = torch.empty(audio_rows, states, config.denoiser.audio_dim)
            sound = denoiser.audio_keys_values(features)
            control_contexts = {n: c.context_keys_values(tokens) for n, c in networks.controls.items()}
        with _counter() as reference:
            latents = torch.empty(1, config.reference_network.in_channels, side, side)
            bank = reference_network(latents, timestep, reference_context)
        with _counter() as keys_values:
            projected = denoiser.reference_keys_values(bank)
        with _counter() as driving:
            pictures = torch.empty(1, 3, num_frames, size, size)
            if config.driving_encoder is not None:
                modulation = torch.empty(1, 2 * config.driving_encoder.channels[-1])
                denoiser.driving_encoder(pictures, modulation)
            hints = {n: c.hint_features(pictures[0].transpose(0, 1)) for n, c in networks.controls.items()}
        with _counter() as controls:
            noisy = torch.empty(num_frames, config.denoiser.in_channels, side, side)
            said = [
                (network(noisy, timestep, control_contexts[name], hints[name]), 1.0)
                for name, network in networks.controls.items()
            ]
        with _counter() as window:
            encoder = config.driving_encoder
            # The unconditional row has a driver of its own: the rows share nothing.
            clips = rows if encoder is not None and encoder.black_unconditional else 1
            sample = torch.empty(clips, config.denoiser.in_channels, num_frames, side, side)
            frame_rows = torch.empty(num_frames, WINDOW_ROWS, dtype=torch.int64)
            heard = {name: gather_rows(pair, frame_rows) for name, pair in sound.items()}
            control = add_up(said) if said else None
            denoiser(
                sample,
                timestep,
                context,
                projected,
                rows=rows,
                conditional_rows=1,
                audio=heard,
                control=control,
            )
        with _counter() as encode:
            vae.encode(torch.empty(1, 3, size, size))
        with _counter() as decode:
            vae.decode(torch.empty(1, config.latent_space.channels, side, side))
    return StepFlops(
        denoiser=window.get_total_flops(),
        reference_keys_values=keys_values.get_total_flops(),
        reference_network=reference.get_total_flops(),
        once_per_clip=once.get_total_flops(),
        controls=controls.get_total_flops(),
        driving_encoder=driving.get_total_flops(),
        vae_encode=encode.get_total_flops(),
        vae_decode=decode.get_total_flops(),
        parts=_parts(window.get_flop_counts()),
    )


def _context_length(config: ModelConfig) -> int:
    if config.image_encoder is None:
        return config.constant_context
    return (config.image_encoder["image_size"] // config.image_encoder["patch_size"]) ** 2 + 1


def _counter() -> FlopCounterMode:
    return FlopCounterMode(display=False)


def _parts(counts: dict[str, dict[object, int]]) -> dict[str, int]:
    """The denoiser's direct children and, below the levels, the kinds of blocks."""
    parts: dict[str, int] = {}
    for name, operations in counts.items():
        path = name.split(".")[1:]
        kinds = ("resnets", "attentions", "motion_modules", "downsamplers", "upsamplers")
        blocks = len(path) == 2 and path[0] in ("transformer_blocks", "motion_modules")
        if len(path) == 1 or blocks or (len(path) == 4 and path[2] in kinds):
            key = f"{path[0]}.*" if blocks else ".*.".join([path[0], *path[2:3]])
            parts[key] = parts.get(key, 0) + sum(operations.values())
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = default_family().name
    parser.add_argument("--family", choices=FAMILIES, default=usual, help=f"default: {usual}")
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default: 512)")
    parser.add_argument("--frames", type=int, default=16, help="frames of the window (default: 16)")
    parser.add_argument("--no-guidance", action="store_true", help="the conditional row alone")
    args = parser.parse_args()
    step = count_step(FAMILIES[args.family].config, args.size, args.frames, not args.no_guidance)
    rows = "one row" if args.no_guidance else "guided"
    print(f"TFLOP at {args.size}x{args.size}, {args.frames} frames, {rows}")
    for name, flops in step.parts.items():
        print(f"    {name:32}{flops / 1e12:9.2f}")
    for name, flops in (
        ("denoiser, per window and step", step.denoiser),
        ("reference keys/values, per step", step.reference_keys_values),
        ("ControlNets, per window and step", step.controls),
        ("window-step", step.window_step),
        ("reference network, per step", step.reference_network),
        ("window-step with the reference network", step.window_step + step.reference_network),
        ("context keys/values, per clip", step.once_per_clip),
        ("driving encoder or hints, per clip", step.driving_encoder),
        ("VAE encode, per clip", step.vae_encode),
        ("VAE decode, per frame", step.vae_decode),
    ):
        print(f"{name:40}{flops / 1e12:9.2f}")
    theirs = FAMILIES[args.family].public_flops
    if theirs is not None and (args.size, args.frames, args.no_guidance) == (512, 16, False):
        ours = step.window_step + step.reference_network
        print(f"{'public implementation':40}{theirs / 1e12:9.2f}, {theirs / ours:.2f} times as much")


if __name__ == "__main__":
    main()
