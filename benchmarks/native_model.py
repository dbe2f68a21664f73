"""Time of the pack's sampler against the host's KSampler on the native MODEL, with the demo or another model.

    COMFYUI_PATH=... HOST_PYTHON benchmarks/native_model.py [--model FOLDER] [--frames 16] [--repeats 5]

Needs the environment of a ComfyUI, as ``make host`` makes it: ``.host/environment/bin/python``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def random_parts(model: Any, frames: int) -> Any:
    """A clip of random numbers; what hears is given silence."""
    import torch
    from megactor_pack.megactor_core.models import conditions
    from megactor_pack.nodes.host.sampling import ClipParts

    config = model.config
    cells = config.latent_space.cells(config.defaults.size)
    channels, encoder = config.latent_space.channels, config.driving_encoder
    width = encoder.channels[-1] if encoder is not None else 0
    modulated = encoder is not None and encoder.reference_channels
    static = config.denoiser.in_channels - channels - (encoder.out_channels if encoder is not None else 0)
    reference = conditions.ReferenceCondition(
        torch.randn(1, channels, cells, cells),
        torch.randn(1, static, 1, cells, cells),
        torch.zeros(1, 2 * width if modulated else 0),
    )
    controls = {
        name: conditions.ControlCondition(
            torch.randn(frames, config.control_network.hint_feature_values(1), cells, cells)
        )
        for name in model.controls
    }
    driving = conditions.DrivingFeatures(torch.randn(frames, width, cells, cells) * 0.1, controls)
    background = None
    if model.context is None:
        background = conditions.BackgroundCondition(torch.randn(1, 17, config.denoiser.cross_attention_dim))
    return ClipParts(reference, driving, background)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "megactor_core" / "weights" / "demo")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "inside_host"))
    from pack import enter_host

    enter_host()
    import comfy.sample
    import torch
    from megactor_pack.nodes.host.model_loading import load_portrait_model
    from megactor_pack.nodes.host.native_clip import native_clip
    from megactor_pack.nodes.host.sampling import sample_clip
    from megactor_pack.nodes.sampling_inputs import sampling_settings

    model = load_portrait_model(args.model)
    config = model.config
    parts = random_parts(model, args.frames)
    steps = config.defaults.num_inference_steps

    def own(guidance_scale: float) -> None:
        settings = sampling_settings(config, guidance_scale=guidance_scale)
        sample_clip(model, parts, settings)

    def host(guidance_scale: float) -> None:
        patcher, positive, negative, latent = native_clip(model, parts, sampling_settings(config))
        empty = latent["samples"]
        noise = comfy.sample.prepare_noise(empty, 42)
        options = {"seed": 42, "disable_pbar": True}
        comfy.sample.sample(
            patcher, noise, steps, guidance_scale, "ddim", "simple", positive, negative, empty, **options
        )

    with torch.inference_mode():
        for guidance_scale in (1.0, 2.0):
            pairs = []
            for _ in range(args.repeats + 1):
                pairs.append((seconds(lambda: own(guidance_scale)), seconds(lambda: host(guidance_scale))))  # noqa: B023
            ours, theirs = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
            print(
                f"{args.frames} frames, {steps} steps, guidance {guidance_scale:g}: "
                f"pack's sampler {ours:.2f} s, KSampler {theirs:.2f} s, ratio {theirs / ours:.3f}"
            )


if __name__ == "__main__":
    main()
