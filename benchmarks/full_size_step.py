"""Time and peak memory of one guided step of the full-size model with random weights.

python benchmarks/full_size_step.py --size 256 --frames 8 --dtype float32 --threads 2
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch

from megactor_core.models.conditions import (
    BackgroundCondition,
    Conditions,
    DrivingCondition,
    ReferenceCondition,
)
from megactor_core.models.config import ModelConfig
from megactor_core.models.networks import build_networks
from megactor_core.sampling.clip_denoiser import ClipDenoiser


def random_network(network: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """Fill a network built on the meta device straight in its final type."""
    network = network.to(dtype).to(memory_format=torch.channels_last)
    network = network.to_empty(device=device).requires_grad_(False)
    for parameter in network.parameters():
        parameter.uniform_(-0.02, 0.02) if parameter.ndim > 1 else parameter.fill_(0.5)
    return network.eval()


def peak_gib(device: torch.device) -> float:
    """Peak memory: of the process on a CPU, of the allocator on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, default=8, help="frames of the window")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="timed steps after one to warm up")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, dtype = torch.device(arguments.device), getattr(torch, arguments.dtype)
    config = ModelConfig()
    with torch.device("meta"):
        networks = build_networks(config)
    denoiser = random_network(networks.denoiser, dtype, device)
    reference_network = random_network(networks.reference_network, dtype, device)
    print(f"weights loaded, {peak_gib(device):.2f} GiB")
    side = config.latent_space.cells(arguments.size)
    options = {"dtype": dtype, "device": device}
    conditions = Conditions(
        ReferenceCondition(
            torch.randn(1, 4, side, side, **options),
            torch.randn(1, 5, 1, side, side, **options),
            torch.empty(0),
        ),
        BackgroundCondition(torch.randn(1, 257, 768, **options)),
        DrivingCondition(torch.randn(1, 4, arguments.frames, side, side, **options)),
    )
    latents = torch.randn(1, 4, arguments.frames, side, side, device=device)
    with torch.inference_mode():
        model = ClipDenoiser(denoiser, reference_network, conditions, guidance_scale=4.5)
        windows = [list(range(arguments.frames))]
        for number in range(arguments.steps + 1):
            begin = time.perf_counter()
            model.predict(latents, torch.tensor([961], device=device), windows).sum().item()
            label = "warm-up" if number == 0 else f"step {number}"
            print(
                f"{label}: {time.perf_counter() - begin:.2f} s, peak {peak_gib(device):.2f} GiB", flush=True
            )


if __name__ == "__main__":
    main()
