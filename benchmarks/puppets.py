"""Prints how many puppet pictures one core draws in a second.

Usage: python -m benchmarks.puppets [--size 128] [--pictures 2000]
"""

from __future__ import annotations

import argparse
from time import process_time

import cv2
import numpy as np

from megactor_core.puppets.identity import sample_identity
from megactor_core.puppets.motion import sample_pose
from megactor_core.puppets.renderer import Puppet, render_image

IDENTITIES = 50


def main() -> None:
    """Measure processor time, so that other work on the machine disturbs the figures less."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--pictures", type=int, default=2000, help="pictures in each measurement")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    identities = [sample_identity(rng) for _ in range(IDENTITIES)]
    poses = [sample_pose(rng) for _ in range(options.pictures)]
    puppets = [Puppet(identity, options.size) for identity in identities]
    puppets[0].frame(poses[0])
    start = process_time()
    for k, pose in enumerate(poses):
        render_image(identities[k % IDENTITIES], pose, options.size)
    single = process_time() - start
    start = process_time()
    for k, pose in enumerate(poses):
        puppets[k % IDENTITIES].image(pose)
    prepared = process_time() - start
    start = process_time()
    for k, pose in enumerate(poses):
        puppets[k % IDENTITIES].frame(pose)
    annotated = process_time() - start
    print(f"{options.size} px, one core, frames/s of processor time")
    for name, seconds in (
        ("a new identity for every picture", single),
        ("prepared identity", prepared),
        ("prepared identity, with mask, landmarks and face box", annotated),
    ):
        print(f"{len(poses) / seconds:8.0f}  {name}")


if __name__ == "__main__":
    main()
