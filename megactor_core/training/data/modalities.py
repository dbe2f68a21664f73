"""Modality of a training clip: what is shown of its driver, what is heard, what the loss leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...seeds import MODALITY, Split, clip_generator
from ...vision.face_parts import part_boxes
from ...vision.landmarks import hold_landmarks
from ...vision.modes.eyes import REGIONS, region_plan
from ...vision.modes.mode import ClipFaces, DrivingMode, PlanOptions
from ...vision.modes.patches import Box, PatchPlan, patch_box
from ..config.modalities import ModalitiesConfig, ModalityDraw, Patches
from .sound_augmentation import augment

_DIVISORS = (8, 17)
_SCALES = (0.8, 1.2)

_SHOWN: dict[str, tuple[str, ...]] = {
    "eyes_mouth": ("eyes", "mouth"),
    "eyes": ("eyes",),
    "mouth": ("mouth",),
    "none": (),
}


@dataclass(frozen=True)
class Modality:
    """Modality of one clip.

    Attributes:
        draw: the row of the table.
        local_sound: whether its sound reaches the lower face alone.
        patches: shape of the driver's patches.
        config: that it was drawn from.
        rng: of the patches' sizes and the changes of the speech, which depend on nothing else.
    """

    draw: ModalityDraw
    local_sound: bool
    patches: Patches
    config: ModalitiesConfig
    rng: np.random.Generator

    @property
    def shows_mouth(self) -> bool:
        """Whether the driver's mouth can be seen."""
        return "mouth" in _SHOWN[self.draw.show]

    @property
    def hears_speech(self) -> bool:
        """Whether the clip's own sound is heard."""
        return self.draw.sound == "speech"

    def heard(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is heard of a clip's sound, as long as that."""
        changes = self.config.augmentation
        if not self.hears_speech:
            return np.zeros_like(sound)
        # A child: how much the changes draw has no influence on the patches.
        return sound if changes is None else augment(sound, changes, self.rng.spawn(1)[0])

    def mode(self, usual: DrivingMode) -> DrivingMode:
        """The driving mode that shows this clip's driver."""
        return replace(usual, plan=self._plan)

    def _plan(self, faces: ClipFaces, options: PlanOptions) -> tuple[PatchPlan, str]:
        landmarks = hold_landmarks(faces.landmarks)
        assert landmarks is not None, "modalities need a face"
        shown = _SHOWN[self.draw.show]
        plan = region_plan(landmarks, faces.target, faces.size, shown=shown)
        if not shown or self.patches == "tight":
            return plan, ""
        groups = [list(group) for name in shown for group in REGIONS[name]]
        centres = np.stack([landmarks[:, group].mean(axis=1) for group in groups], axis=1)
        if self.patches == "union":
            return replace(
                plan, boxes=(tuple(self._union(one, faces.size) for one in centres.swapaxes(0, 1)),)
            ), ""
        return replace(plan, boxes=((self._rectangle(plan.boxes, faces.size),),)), ""

    def _union(self, centres: NDArray[np.float64], size: int) -> Box:
        """One box around a part in all frames, each frame's of another size."""
        divisors = self.rng.integers(*_DIVISORS, len(centres))
        boxes = [
            patch_box(x, y, size, size, int(divisor))
            for (x, y), divisor in zip(centres, divisors, strict=True)
        ]
        return _around(np.array(boxes))

    def _rectangle(self, boxes: Sequence[Sequence[Box]], size: int) -> Box:
        """One box around all parts in all frames, scaled by chance."""
        left, top, right, bottom = _around(np.array([box for frame in boxes for box in frame]))
        scale = self.rng.uniform(*_SCALES)
        x, y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        corners = np.array(
            [x - scale * width / 2, y - scale * height / 2, x + scale * width / 2, y + scale * height / 2]
        )
        left, top, right, bottom = np.clip(corners, 0, size).astype(int).tolist()
        return left, top, right, bottom


def _around(boxes: NDArray[np.int64]) -> Box:
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return left, top, right, bottom


def draw_modality(config: ModalitiesConfig, seed: int, index: int, split: Split) -> Modality:
    """Modality of clip ``index``: it depends on the seed, the split and the index alone.

    Rows of share 0 change nothing: a uniform number picks the row by the sum of the shares before it.
    """
    rng = clip_generator(seed, index, split, MODALITY)
    chosen, local, patches = rng.random(3)
    rows = [draw for draw in config.draws if draw.share]
    ends = np.cumsum([draw.share for draw in rows])
    row = rows[min(int(np.searchsorted(ends, chosen, side="right")), len(rows) - 1)]
    kind = config.patches[int(patches * len(config.patches))]
    return Modality(row, bool(local < config.local_sound), kind, config, rng)


def cells_of(boxes: Sequence[NDArray[np.float64]], size: int, cells: int) -> NDArray[np.bool_]:
    """Cells (cells, cells) that boxes in a picture of ``size`` pixels touch."""
    touched = np.zeros((cells, cells), bool)
    for box in boxes:
        left, top = np.clip(np.floor(box[:2] * cells / size), 0, cells).astype(int)
        right, bottom = np.clip(np.ceil(box[2:] * cells / size), 0, cells).astype(int)
        touched[top:bottom, left:right] = True
    return touched


def part_cells(
    landmarks: Sequence[NDArray[np.floating]], parts: Sequence[str], size: int, cells: int
) -> NDArray[np.bool_]:
    """Cells of some parts of the face in every frame, (frames, cells, cells)."""
    return np.stack(
        [
            cells_of([box for part in parts for box in part_boxes(points, part, size)], size, cells)
            for points in landmarks
        ]
    )


def whole_tokens(cells: NDArray[np.bool_], patch_size: int) -> NDArray[np.bool_]:
    """All cells of the tokens, squares of ``patch_size`` cells, that cells (frames, h, w) belong to."""
    frames, height, width = cells.shape
    padded = np.pad(cells, [(0, 0), (0, -height % patch_size), (0, -width % patch_size)])
    rows, columns = padded.shape[1] // patch_size, padded.shape[2] // patch_size
    tokens = np.any(padded.reshape(frames, rows, patch_size, columns, patch_size), axis=(2, 4))
    return np.kron(tokens, np.ones((1, patch_size, patch_size), bool))[:, :height, :width]
