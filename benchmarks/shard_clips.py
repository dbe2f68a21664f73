"""Prints how many training clips one core draws from shards in a second.

Usage: python -m benchmarks.shard_clips [--shards PATH ...] [--size 256] [--items 100]

Without shards it renders some itself: puppets of 512x512 pixels, H.264, 150 frames at 30 a second, each with
a version of another person and masks.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import cv2
import numpy as np
import torch

from megactor_core.dataset.clip_file import encode_clip
from megactor_core.dataset.parts import pack_masks
from megactor_core.dataset.shards import write_shard
from megactor_core.puppets.clips import clip_pair
from megactor_core.training.config.data import ShardClipsConfig
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.data.shards import ShardClips

SIDE, FRAMES, FRAME_RATE, CLIPS = 512, 150, 30, 8


def main() -> None:
    """Measure processor time beside the clock's: other work on the machine disturbs it less."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=Path, nargs="+", help="folders or shards")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    parser.add_argument("--items", type=int, default=100, help="clips in each measurement")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        shards = options.shards or [render_shard(Path(folder) / "00000.tar")]
        print(f"12 frames of stride 2, {options.size} px, one core: clips/s of processor time (of the clock)")
        for name, rates in (
            ("stage 1: 10 % of the drivers swapped", {"swap_rate": 0.1}),
            ("stage 2: 50 % swapped, 25 % warped", {"swap_rate": 0.5, "warp_rate": 0.25}),
            ("every driver swapped", {"swap_rate": 1.0}),
        ):
            config = ShardClipsConfig(shards=tuple(shards), size=options.size, **rates)
            print("{:8.1f} ({:.1f})  {}".format(*measure(config, options.items), name))


def measure(config: ShardClipsConfig, items: int) -> tuple[float, float]:
    """Clips per second of processor time, and of the clock."""
    clips = ShardClips(config, 0, SampleFormat(config.size, config.size // 8, 224), "train")
    clips[0]
    begin, begin_clock = process_time(), perf_counter()
    for index in range(items):
        clips[index]
    return items / (process_time() - begin), items / (perf_counter() - begin_clock)


def render_shard(path: Path) -> Path:
    """Clips of puppets as the dataset commands write them."""
    with write_shard(path) as shard:
        for index in range(CLIPS):
            pair = clip_pair(0, index, FRAMES, SIDE, frame_rate=FRAME_RATE)
            numbers = np.linspace(0, FRAMES - 1, 8).round().astype(int).tolist()
            faces = {"boxes": pair.truth_boxes.tolist(), "luma": [128] * FRAMES}
            sample = {
                "mp4": encode_clip(pair.truth_frames, (SIDE, SIDE), Fraction(FRAME_RATE)),
                "swapped.mp4": encode_clip(pair.driver_frames, (SIDE, SIDE), Fraction(FRAME_RATE)),
                "faces.json": json.dumps(faces).encode(),
                "background.png": pack_masks(numbers, pair.truth_masks[numbers][:, ::2, ::2]),
                "json": json.dumps({"identity": str(index)}).encode(),
            }
            shard.write(f"{index:03d}", sample)
    return path


if __name__ == "__main__":
    main()
