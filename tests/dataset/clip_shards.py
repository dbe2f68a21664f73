"""Small shards of rendered puppets, written without the steps under test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from megactor_core.dataset.shards import write_shard
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import render_motion, sample_clip


def encode(images: Sequence[np.ndarray], frame_rate: int = 25, keyframe_interval: int | None = 12) -> bytes:
    """An MP4 of uint8 (H, W, 3) pictures."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        height, width = images[0].shape[:2]
        with VideoWriter(
            path, width, height, Fraction(frame_rate), keyframe_interval=keyframe_interval
        ) as writer:
            for image in images:
                writer.write(image)
        return path.read_bytes()


def faces_json(boxes: np.ndarray, landmarks: np.ndarray | None = None, luma: float = 120.0) -> bytes:
    """What the step ``faces`` tells of a clip in which every face was seen."""
    faces = {
        "boxes": np.asarray(boxes, float).tolist(),
        "found": [True] * len(boxes),
        "luma": [luma] * len(boxes),
        "landmarks": None if landmarks is None else np.asarray(landmarks, float).tolist(),
    }
    return json.dumps(faces).encode()


def puppet_sample(index: int, frames: int = 40, size: int = 96, swapped: bool = True) -> dict[str, bytes]:
    """A clip of a puppet, the same motion of another one, and the true faces."""
    clip = sample_clip(7, index, frames)
    images, _, boxes, landmarks = render_motion(clip.identity, clip.motion, size)
    facts = {"identity": f"puppet {index}", "frame_rate": 25, "frames": frames, "size": [size, size]}
    sample = {
        "mp4": encode(list(images)),
        "faces.json": faces_json(boxes, landmarks),
        "json": json.dumps(facts).encode(),
    }
    if swapped:
        others = render_motion(clip.driver_identity, clip.motion, size)[0]
        sample["swapped.mp4"] = encode(list(others))
    return sample


def write_samples(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """One shard of these samples by key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_shard(path) as shard:
        for key, sample in samples.items():
            shard.write(key, sample)
    return path


def write_puppet_shards(folder: Path, clips: int = 4, shards: int = 2, **options: object) -> Path:
    """A folder of shards of puppet clips, ready for training."""
    per_shard = -(-clips // shards)
    for number in range(shards):
        numbers = range(number * per_shard, min(clips, (number + 1) * per_shard))
        samples = {f"clip{index:03d}": puppet_sample(index, **options) for index in numbers}  # type: ignore[arg-type]
        write_samples(folder / f"{number:05d}.tar", samples)
    return folder
