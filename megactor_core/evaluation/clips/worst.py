"""Keeps the pictures of the worst clips of an evaluation, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ...media.contact_sheet import sheet_indices
from ...media.pictures import Images
from ..measures.table import WORST_FIRST, Measure, by_name
from .reenactment import AnimatedClip, ClipScores
from .report import frame_means

SHOWN = 4
"""Clips that are kept."""
_CELL = 160


@dataclass(frozen=True, eq=False)
class WorstClip:
    """One clip to look at.

    Attributes:
        index: its place among the clips of the report.
        badness: the higher the worse.
        reference: uint8 (160, 160, 3).
        driver, output: frames side by side, uint8 (160, 160 n, 3).
    """

    index: int
    badness: float
    reference: Images
    driver: Images
    output: Images


class WorstClips:
    """The worst clips so far.

    Args:
        test: of the evaluation; decides what the clips are ranked by.
    """

    def __init__(self, test: Literal["self", "cross"]) -> None:
        self.measure: Measure | None = None
        self.clips: list[WorstClip] = []
        self._order = WORST_FIRST[test]

    def add(self, index: int, scores: ClipScores, clip: AnimatedClip) -> None:
        """Keep a clip if it is among the worst; one without a value for want of a face is worse than all."""
        if self.measure is None:
            name = next((name for name in self._order if name in scores.output), None)
            self.measure = None if name is None else by_name(name)
        badness = float("inf")
        if self.measure is not None:
            mean = frame_means(scores.output)[self.measure.name]
            if mean is not None:
                badness = -mean if self.measure.higher_is_better else mean
        shown = sheet_indices(len(clip.output))
        rows = (clip.driver, clip.output)
        driver, output = (np.hstack([_cell(frames[i]) for i in shown]) for frames in rows)
        self.clips.append(WorstClip(index, badness, _cell(clip.reference), driver, output))
        self.clips.sort(key=lambda one: (-one.badness, one.index))
        del self.clips[SHOWN:]


def _cell(picture: Images) -> Images:
    shrinks = picture.shape[0] > _CELL
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (_CELL, _CELL), interpolation=interpolation), np.uint8)
