"""A shard at a glance: frames of some clips and of their other versions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.contact_sheet import picture_rows, sheet_indices
from .clip_file import ClipFile
from .parts import face_boxes, read_masks
from .shards import BACKGROUND, CLIP, FACES, STYLED, SWAPPED, BrokenSample, Entry, open_shard
from .sound import sound_facts

_OUTLINE = (255, 64, 64)
_COLUMNS = 8


def shard_sheet(path: Path, clips: int, first: int = 0) -> tuple[NDArray[np.uint8], list[str]]:
    """Rows of frames: the clip with the face's box, its swapped and stylised versions, its masks.

    Args:
        path: the shard.
        clips: how many of its clips.
        first: number of the first of them.

    Returns:
        uint8 RGB, and a line of text for each clip with its parts and its sound, those that cannot be shown
        included.

    Raises:
        InputError: the shard cannot be read, or none of these clips can be shown.
    """
    shard = open_shard(path)
    rows: list[list[NDArray[np.uint8]]] = []
    lines = [f"{path} {shard.damage}"] if shard.damage else []
    for clip in shard.entries[first : first + clips]:
        try:
            rows += _rows(clip)
            lines.append(f"{clip.key}: {', '.join(clip.members)}; {_heard(clip)}")
        except BrokenSample as error:
            lines.append(f"{clip.key}: {error}")
    if not rows:
        problem = (
            f"none of clips {first} to {first + clips - 1} can be shown ({'; '.join(lines) or 'no clips'})"
        )
        raise InputError(path, problem, f"The shard has {len(shard.entries)} samples")
    return picture_rows(*rows), lines


def _rows(clip: Entry) -> list[list[NDArray[np.uint8]]]:
    with ClipFile(clip.read(CLIP)) as reader:
        numbers = sheet_indices(reader.num_frames)
        numbers = [numbers[min(i, len(numbers) - 1)] for i in range(_COLUMNS)]
        images = reader.read(numbers)
    rows = [images]
    if FACES in clip.members:
        boxes = face_boxes(clip)
        rows = [[_boxed(image, boxes[number]) for image, number in zip(images, numbers, strict=True)]]
    for part in (SWAPPED, STYLED):
        if part in clip.members:
            with ClipFile(clip.read(part)) as reader:
                rows.append(reader.read(numbers))
    if BACKGROUND in clip.members:
        masks = list(read_masks(clip).values())
        shown = [masks[min(i, len(masks) - 1)] for i in range(_COLUMNS)]
        rows.append([np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=-1) for mask in shown])
    return rows


def _heard(clip: Entry) -> str:
    facts = sound_facts(clip.read(CLIP))
    if facts is None:
        return "no sound"
    return f"sound {facts['codec']}, {facts['loudness']:.1f} dB, {facts['speech_share']:.0%} speech"


def _boxed(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    left, top, right, bottom = box.round().astype(int).tolist()
    thickness = max(1, image.shape[0] // 160)
    return np.asarray(
        cv2.rectangle(image.copy(), (left, top), (right, bottom), _OUTLINE, thickness), np.uint8
    )
