"""Parts of a sample as arrays: face boxes and points of ``faces.json``, person masks."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import InputError
from ..vision.coarse_landmarks import FIVE_POINTS, coarse_landmarks
from .face_measures import FrameFacts
from .shards import BACKGROUND, FACES, BrokenSample, Entry


def face_boxes(clip: Entry) -> NDArray[np.float32]:
    """Left, top, right, bottom of the face in every frame, (F, 4) in pixels.

    Raises:
        BrokenSample: the clip has no such part.
    """
    return _array(clip, "boxes", (4,))


def face_landmarks(clip: Entry) -> NDArray[np.float32]:
    """68 landmarks in every frame, (F, 68, 2) in pixels; a mean face where only five points are known.

    Raises:
        BrokenSample: the clip has no such part, or neither landmarks nor points.
    """
    faces = clip.read_json(FACES)
    if faces.get("landmarks") is not None:
        return _array(clip, "landmarks", (68, 2))
    return np.stack([coarse_landmarks(points) for points in five_points(clip)])


def has_landmarks(clip: Entry) -> bool:
    """Whether a landmarker found the landmarks, which then move as the face does.

    Raises:
        BrokenSample: the clip has no such part.
    """
    return clip.read_json(FACES).get("landmarks") is not None


def check_landmarks(clips: Sequence[Entry]) -> None:
    """Make sure that a landmarker looked at the clips, before any work; one clip of every shard is asked.

    Raises:
        InputError: one has five points of the face only, or none.
    """
    for clip in {clip.shard: clip for clip in clips}.values():
        try:
            known = has_landmarks(clip)
        except BrokenSample:
            continue  # it is drawn anew when it is met
        if not known:
            problem = f"clip {clip.key} has no landmarks, which tell where eyes and mouth are"
            raise InputError(clip.shard, problem, "Run: dataset faces --landmarker face_landmarker.task")


def frame_facts(clip: Entry) -> FrameFacts:
    """What ``faces.json`` tells of every frame.

    Raises:
        BrokenSample: the clip has no such part, or it tells of other numbers of frames.
    """
    faces = clip.read_json(FACES)
    boxes = face_boxes(clip)
    known = {name: faces.get(name) is not None for name in ("persons", "landmarks", "scores")}
    try:
        facts = FrameFacts(
            size=(int(faces["size"][0]), int(faces["size"][1])),
            boxes=boxes,
            found=np.array(faces["found"], bool),
            persons=np.array(faces["persons"], np.int64) if known["persons"] else None,
            landmarks=_array(clip, "landmarks", (68, 2)) if known["landmarks"] else None,
            scores=_array(clip, "scores", (68,)) if known["scores"] else None,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BrokenSample(f"part {FACES} lacks size or found") from error
    told = (facts.found, facts.persons, facts.landmarks, facts.scores)
    if any(len(values) != len(boxes) for values in told if values is not None):
        raise BrokenSample(f"part {FACES} is inconsistent")
    return facts


def five_points(clip: Entry) -> NDArray[np.float32]:
    """Eyes, tip of the nose and corners of the mouth in every frame, (F, 5, 2); frames without repeat others.

    Raises:
        BrokenSample: see ``face_landmarks``.
    """
    faces = clip.read_json(FACES)
    if faces.get("landmarks") is not None:
        landmarks = _array(clip, "landmarks", (68, 2))
        return np.stack([landmarks[:, list(group)].mean(axis=1) for group in FIVE_POINTS], axis=1)
    points = faces.get("points") or []
    seen = [index for index, row in enumerate(points) if row is not None]
    if not seen:
        raise BrokenSample(f"part {FACES} tells no points of the face")
    nearest = [min(seen, key=lambda index: abs(index - frame)) for frame in range(len(points))]
    return np.array([points[index] for index in nearest], np.float32)


def _array(clip: Entry, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        return np.asarray(clip.read_json(FACES)[name], np.float32).reshape(-1, *shape)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSample(f"part {FACES} lacks {name}") from error


_FRAMES = "frames"


def pack_masks(numbers: Sequence[int], masks: NDArray[np.float32]) -> bytes:
    """A grey PNG, one mask below the other, 255 = person; the frames' numbers are a text in it.

    Args:
        numbers: the frames, one per mask.
        masks: (n, h, w), 0..1, 1 = person.
    """
    text = PngInfo()
    text.add_text(_FRAMES, " ".join(map(str, numbers)))
    buffer = io.BytesIO()
    Image.fromarray((masks.reshape(-1, masks.shape[-1]) * 255 + 0.5).astype(np.uint8)).save(
        buffer, "PNG", pnginfo=text
    )
    return buffer.getvalue()


def read_masks(clip: Entry) -> dict[int, NDArray[np.float32]]:
    """Person masks by the numbers of their frames, float32 (h, w), 0..1, 1 = person.

    Raises:
        BrokenSample: there are none, or they cannot be read.
    """
    data = clip.read(BACKGROUND)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            numbers = [int(number) for number in image.info[_FRAMES].split()]
            stacked = np.asarray(image.convert("L"))
        masks = stacked.reshape(len(numbers), -1, stacked.shape[1])
    except (OSError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise BrokenSample(f"part {BACKGROUND} cannot be read") from error
    scaled = masks.astype(np.float32) / np.float32(255)
    return dict(zip(numbers, scaled, strict=True))
