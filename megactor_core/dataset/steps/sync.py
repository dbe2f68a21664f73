"""Step ``sync``: keeps the clips whose mouth goes with their sound.

Source: MegActor-Sigma (arXiv 2408.14975), the lip filter of its public data scripts: SyncNet's confidence
above 5.5. They compute the offset too and do not look at it; here it must be small.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ...hearing.syncnet import FRAME_RATE, load_syncnet, measure_sync
from ...media.waveform import SAMPLE_RATE
from ...models.syncnet import FACE_SIZE, SyncNet
from ...vision.crops import Crop
from ..clip_file import ClipFile
from ..parts import face_boxes
from ..settings import Kept, Rejected, SyncSettings
from ..shards import CLIP, SYNC, Entry
from ..sound import clip_sound

_CALM = 13
"""Frames in whose middle, by the median, the face's place is taken: detectors tremble."""
_LOWER = 0.1
"""Of the face's longer side, from its centre to the square's: the surroundings reach 1.0 of it to the left,
to the right and upwards, and 1.2 downwards; the square is the largest in their middle."""


class Measure(Protocol):
    """A measure of sync: what ``sync.json`` keeps of a clip.

    Raises ``Rejected`` where the clip is not in sync or nothing can be told.
    """

    def __call__(self, clip: Entry, sound: NDArray[np.float32], reader: ClipFile) -> dict[str, Any]: ...


class SyncFilter:
    """Adds ``sync.json`` to a clip, or rejects it.

    Args:
        measure: tells whether it is in sync.
    """

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    @classmethod
    def from_files(cls, settings: SyncSettings) -> SyncFilter:
        """By SyncNet where the settings name its file, else by landmarks.

        Raises:
            InputError: the file is missing or of another network.
        """
        if settings.syncnet is None:
            from .sync_landmarks import LandmarkSync

            return cls(LandmarkSync.from_files(settings))
        device = settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(NetworkSync(settings, load_syncnet(settings.syncnet).to(device)))

    def __call__(self, clip: Entry) -> Kept:
        """Compare picture and sound."""
        data = clip.read(CLIP)
        sound = clip_sound(data)
        if sound is None:
            raise Rejected("no sound")
        with ClipFile(data) as reader:
            sound = sound[: round(reader.num_frames / reader.frame_rate * SAMPLE_RATE)]
            found = self._measure(clip, sound, reader)
        return Kept({**clip.sample(), SYNC: json.dumps(found).encode()})


class NetworkSync:
    """SyncNet's confidence and offset.

    Args:
        settings: thresholds.
        network: on the device where it is to run.
    """

    def __init__(self, settings: SyncSettings, network: SyncNet) -> None:
        self._settings, self._network = settings, network

    def __call__(self, clip: Entry, sound: NDArray[np.float32], reader: ClipFile) -> dict[str, Any]:
        """See ``Measure``."""
        settings = self._settings
        found = measure_sync(self._network, np.stack(list(_faces(clip, reader))), sound)
        if found is None:
            raise Rejected("too short for sync", f"{reader.num_frames} frames")
        if not found.confidence > settings.minimum_confidence:
            raise Rejected("sync is doubtful", f"confidence {found.confidence:.2f}")
        if abs(found.offset) > settings.maximum_offset:
            raise Rejected("out of sync", f"by {found.offset} frames")
        return {"by": "syncnet", "confidence": round(found.confidence, 3), "offset": found.offset}


def _faces(clip: Entry, reader: ClipFile) -> Iterator[NDArray[np.uint8]]:
    """The face in its square, uint8 RGB (224, 224, 3), 25 times a second."""
    squares = face_squares(face_boxes(clip))
    step, due = reader.frame_rate / FRAME_RATE, Fraction(0)
    for number, (image, square) in enumerate(zip(reader.frames(), squares, strict=False)):
        face: NDArray[np.uint8] | None = None
        while due < number + 1:
            if face is None:
                crop = Crop((*square.tolist(),), reader.size, FACE_SIZE)
                face = crop.apply(image).round().clip(0, 255).astype(np.uint8)
            yield face
            due += step


def face_squares(boxes: NDArray[np.floating]) -> NDArray[np.int64]:
    """Squares of one size around the face of every frame, int64 (F, 4) in pixels.

    Args:
        boxes: left, top, right, bottom, (F, 4) in pixels.
    """
    boxes = np.asarray(boxes, np.float64)
    side = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    centers = np.pad((boxes[:, :2] + boxes[:, 2:]) / 2, ((_CALM // 2, _CALM // 2), (0, 0)), mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(centers, _CALM, axis=0), axis=-1)
    corner = np.round(calm - (side, side - _LOWER * side)).astype(np.int64)
    return np.concatenate([corner, corner + round(2 * side)], axis=1)
