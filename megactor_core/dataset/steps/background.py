"""Step ``background``: who is the person and what is behind, in some frames of every clip."""

from __future__ import annotations

import cv2
import numpy as np

from ...vision.foreground import foreground_mask
from ...vision.person_segmenter import find_segmenter
from ..clip_file import ClipFile
from ..parts import face_boxes, pack_masks
from ..settings import BackgroundSettings, Kept
from ..shards import BACKGROUND, CLIP, BrokenSample, Entry

_LONGEST_SIDE = 256
"""Of a mask, in pixels: finer than latents and CLIP see it."""


class BackgroundMasks:
    """Adds ``background.png`` to a clip: masks of evenly spaced frames, from which references are drawn."""

    def __init__(self, settings: BackgroundSettings) -> None:
        self._settings = settings
        self._segmenter = find_segmenter(settings.person_segmenter)

    def __call__(self, clip: Entry) -> Kept:
        """Part the person from the background."""
        boxes = face_boxes(clip)
        with ClipFile(clip.read(CLIP)) as reader:
            if len(boxes) != reader.num_frames:
                raise BrokenSample("its faces are of another clip")
            count = min(self._settings.masks, reader.num_frames)
            numbers = np.linspace(0, reader.num_frames - 1, count).round().astype(int).tolist()
            scale = min(1.0, _LONGEST_SIDE / max(reader.size))
            size = (max(1, round(reader.size[1] * scale)), max(1, round(reader.size[0] * scale)))
            masks = []
            for number, image in zip(numbers, reader.read(numbers), strict=True):
                mask = foreground_mask(image, boxes[number].tolist(), segmenter=self._segmenter)
                masks.append(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))
        return Kept({**clip.sample(), BACKGROUND: pack_masks(numbers, np.stack(masks).astype(np.float32))})
