"""Prints how much longer ComfyUI takes to start with the pack than without.

Usage: python -m benchmarks.host_start [--starts 5]          needs `make host`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).resolve().parent.parent
HOST = REPOSITORY / ".host"


def start(base: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processor until a host with this base folder has loaded all nodes."""
    words = [
        HOST / "environment" / "bin" / "python",
        HOST / "ComfyUI" / "main.py",
        "--cpu",
        "--base-directory",
        base,
    ]
    words += ["--disable-api-nodes", "--quick-test-for-ci", "--database-url", "sqlite:///:memory:"]
    clock, processor = time.perf_counter(), os.times()
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - processor.children_user - processor.children_system
    return time.perf_counter() - clock, used


def main() -> None:
    """Starts with and without take turns, so that other work on the machine meets both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="starts with the pack, and as many without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        bases = {"without": Path(place) / "without", "with": Path(place) / "with"}
        for base in bases.values():
            (base / "custom_nodes").mkdir(parents=True)
        (bases["with"] / "custom_nodes" / "MegActor").symlink_to(REPOSITORY)
        for base in bases.values():
            start(base)  # compiles modules, fills the disk's cache
        times = {name: [] for name in bases}
        for _ in range(options.starts):
            for name, base in bases.items():
                times[name].append(start(base))
    print("median, seconds     clock  processor")
    medians = {name: [median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()}
    for name, (clock, processor) in medians.items():
        print(f"{name:16} {clock:8.2f} {processor:10.2f}")
    differences = [pair[0] - pair[1] for pair in zip(medians["with"], medians["without"], strict=True)]
    print(f"{'the pack costs':16} {differences[0]:8.2f} {differences[1]:10.2f}")


if __name__ == "__main__":
    main()
