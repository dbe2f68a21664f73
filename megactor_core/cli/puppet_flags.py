"""Flags that all tests on puppets have, and what is made of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .arguments import guidance, seed, side, steps, whole_number

if TYPE_CHECKING:
    from ..models.config import ModelConfig
    from ..sampling.sampler import SamplingSettings


def add_clip_flags(parser: argparse.ArgumentParser, *, frames: int, fewest: int, num_steps: int) -> None:
    """Flags of the clips, of sampling and of the device.

    Args:
        parser: of the test.
        frames, num_steps: defaults.
        fewest: frames that a clip may have.
    """
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="another seed gives other clips (default: 0)"
    )
    parser.add_argument(
        "--clips",
        type=whole_number(1),
        default=30,
        metavar="N",
        help="number of clips; fewer than 30 say little (default: 30)",
    )
    parser.add_argument(
        "--frames",
        type=whole_number(fewest),
        default=frames,
        metavar="N",
        help=f"frames of each clip, at 25 a second (default: {frames})",
    )
    parser.add_argument(
        "--steps",
        type=steps,
        default=num_steps,
        metavar="N",
        help=f"denoising steps; compare at equal steps (default: {num_steps})",
    )
    parser.add_argument(
        "--guidance", type=guidance, metavar="X", help="guidance scale (default: the model's)"
    )
    parser.add_argument(
        "--size", type=side, metavar="PIXELS", help="side of the square pictures (default: the model's)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")


def puppet_sampling(args: argparse.Namespace, config: ModelConfig) -> SamplingSettings:
    """Sampling as the flags ask for it.

    Raises:
        InputError: a setting that the model does not have.
    """
    from ..sampling.sampler import SamplingSettings

    guidance = {} if args.guidance is None else {"guidance_scale": args.guidance}
    sampling = SamplingSettings.from_defaults(
        config.defaults, num_inference_steps=args.steps, seed=args.seed, **guidance
    )
    sampling.validate(config)
    return sampling


def heading(args: argparse.Namespace, size: int) -> str:
    """First line of a printed report."""
    return (
        f"{args.model}: {args.clips} held-out clips of {args.frames} frames, {size} pixels, "
        f"{args.steps} steps, seed {args.seed}"
    )
