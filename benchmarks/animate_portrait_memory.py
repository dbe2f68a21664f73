"""Prints the peak memory of a ComfyUI process that animates a short and a long driving video in one node.

Usage: python -m benchmarks.animate_portrait_memory [--frames 100 1000] [--steps 2]          needs `make host`

Each clip gets a host of its own. The peak does not depend on the number of steps; few save time. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from megactor_core.media.samples import Samples
from megactor_core.media.writing import VideoWriter

REPOSITORY = Path(__file__).resolve().parent.parent
HOST = REPOSITORY / ".host"
WIDTH, HEIGHT, RATE = 640, 480, Fraction(25)


def write_driver(path: Path, num_frames: int) -> None:
    """A video with noise in picture and sound."""
    random = np.random.default_rng(0)
    samples = Samples(random.uniform(-0.1, 0.1, (2, 48000 * num_frames // 25)).astype(np.float32), 48000)
    with VideoWriter(path, WIDTH, HEIGHT, RATE, audio_source=samples) as writer:
        for _ in range(num_frames):
            small = random.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
            writer.write(small.repeat(16, axis=0).repeat(16, axis=1))


def workflow(driver: str, steps: int) -> dict[str, Any]:
    """The demo in one node, saved."""

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    return {
        "model": node("MegActorLoadModel", model="demo (bundled)", download=False),
        "example": node("MegActorExampleInputs"),
        "driver": node("LoadVideo", file=driver),
        "animate": node(
            "MegActorAnimatePortrait",
            model=["model", 0],
            portrait=["example", 0],
            driving=["driver", 0],
            seed=1,
            steps=steps,
            guidance_scale=0.0,
            scheduler="ddim",
            context_length=0,
            context_overlap=-1,
            crop="whole",
            paste_back=True,
            size=0,
            lost_face="hold",
            start_frame=0,
            max_frames=0,
        ),
        "save": node("SaveVideo", video=["animate", 0], filename_prefix="out", format="auto", codec="auto"),
    }


def ask(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_for_start(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            ask(f"{url}/system_stats")
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("error: ComfyUI did not start")


def peak_mebibytes(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1]
    return int(status.split()[0]) / 1024


def measure(place: Path, num_frames: int, steps: int, port: int) -> tuple[float, float, float]:
    """Peak before and after the animation in MiB, and its seconds."""
    base = place / str(num_frames)
    for name in ("custom_nodes", "input"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "MegActor").symlink_to(REPOSITORY)
    write_driver(base / "input" / "driver.mp4", num_frames)
    words = [HOST / "environment" / "bin" / "python", HOST / "ComfyUI" / "main.py", "--cpu", "--port", port]
    words += ["--base-directory", base, "--disable-api-nodes", "--preview-method", "auto"]
    with (base / "log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_start(url, process)
        before, begin = peak_mebibytes(process), time.monotonic()
        prompt = ask(f"{url}/prompt", {"prompt": workflow("driver.mp4", steps)})["prompt_id"]
        while prompt not in (records := ask(f"{url}/history/{prompt}")):
            time.sleep(1)
        if records[prompt]["status"]["status_str"] != "success":
            raise SystemExit(f"error: the workflow failed: {records[prompt]['status']['messages'][-1][1]}")
        return before, peak_mebibytes(process), time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--port", type=int, default=8299)
    options = parser.parse_args()
    print("frames   peak before   peak after, MiB   seconds")
    with tempfile.TemporaryDirectory() as place:
        for num_frames in options.frames:
            before, after, seconds = measure(Path(place), num_frames, options.steps, options.port)
            print(f"{num_frames:6} {before:13.0f} {after:17.0f} {seconds:9.0f}", flush=True)


if __name__ == "__main__":
    main()
