"""Opens what an animation reads, once, and checks the name of what it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import check_output
from ..media.pictures import load_mask, load_picture
from ..media.reading import open_driving
from ..media.source import DrivingSource
from ..media.writing import FORMATS
from .clip import DRIVERS_SOUND
from .options import AnimationOptions


@dataclass(frozen=True, eq=False)
class Inputs:
    """Pictures and videos of an animation.

    Attributes:
        output: the file to be written, which can be.
        files: files that are read.
        picture: the portrait, uint8 RGB (H, W, 3).
        others: other pictures of the same person.
        mask: of the person in ``picture``, as ``vision.portrait.segment_reference`` takes it, or None.
        driver: None where speech alone drives.
        start: the video that sampling starts from, or None.
    """

    output: Path
    files: tuple[Path, ...]
    picture: NDArray[np.uint8] = field(repr=False)
    others: tuple[NDArray[np.uint8], ...] = field(repr=False)
    mask: NDArray[np.float32] | None = field(repr=False)
    driver: DrivingSource | None
    start: DrivingSource | None


def open_inputs(options: AnimationOptions, more_files: Iterable[Path] = ()) -> Inputs:
    """Open what the options name; what is open already is taken as it is.

    Args:
        options: the files; a picture may be an array, a video what ``open_driving`` gave.
        more_files: files that the same job reads, which are never replaced.

    Raises:
        InputError: a file that cannot be read, or an output that cannot be written.
    """
    files, mask, start = options.files, options.crops.mask, options.start.start_video
    driver, speech = files.driving, options.motion.speech
    named = [files.reference, driver, mask, speech, *files.more_references, start, *more_files]
    read = tuple(path for path in map(_path, named) if path is not None)
    check_output(files.output, FORMATS, files.overwrite, read)
    picture = _picture(files.reference)
    return Inputs(
        Path(files.output),
        read,
        picture,
        tuple(map(_picture, files.more_references)),
        load_mask(mask, picture.shape[:2]) if isinstance(mask, str | os.PathLike) else mask,
        None if driver is None else _video(driver),
        None if start is None else _video(start),
    )


def _path(given: Any) -> Path | None:
    if isinstance(given, DrivingSource):
        given = given.path
    return Path(given) if isinstance(given, str | os.PathLike) and given != DRIVERS_SOUND else None


def _picture(given: Any) -> NDArray[np.uint8]:
    return given if isinstance(given, np.ndarray) else load_picture(given)


def _video(given: Any) -> DrivingSource:
    return given if isinstance(given, DrivingSource) else open_driving(given)
