"""MediaPipe's selfie segmentation: how likely each pixel of a picture shows a person."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..weights.catalogue import find_known
from ..weights.folders import models_folder

Segmenter = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Takes uint8 RGB (H, W, 3) and gives float32 (h, w), 0..1, over the same picture in a size of its own."""

_SIDE = 256


class PersonSegmenter:
    """The segmentation network through ``cv2.dnn`` (OpenCV 4 and 5); may be shared by threads.

    Args:
        model_path: the network's TFLite file.

    Raises:
        InputError: the file does not exist or is another model.

    Source: MediaPipe's model card "Selfie Segmentation" (general model), 2021.
    """

    def __init__(self, model_path: str | os.PathLike[str]) -> None:
        self._path = Path(model_path)
        remedy = "Give the path of selfie_segmentation.tflite"
        if not self._path.is_file():
            raise InputError(self._path, "the person segmenter's file does not exist", remedy)
        self._lock = Lock()
        # OpenCV prints its parser's complaints beside raising them; versions 4 and 5 keep the switch apart.
        logging: Any = getattr(cv2.utils, "logging", cv2)
        log_level = logging.setLogLevel(0)
        try:
            self._network = cv2.dnn.readNetFromTFLite(str(self._path))
            # Only a first run tells this model from any other.
            shape = self._run(np.zeros((_SIDE, _SIDE, 3), np.uint8)).shape
        except (cv2.error, SystemError) as error:
            raise InputError(self._path, "not a person segmenter", remedy) from error
        finally:
            logging.setLogLevel(log_level)
        if shape != (1, 1, _SIDE, _SIDE):
            raise InputError(self._path, "not a person segmenter", remedy)

    def __reduce__(self) -> tuple[type[PersonSegmenter], tuple[Path]]:
        return PersonSegmenter, (self._path,)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of a person in each part of one picture.

        Args:
            image: uint8 RGB (H, W, 3).

        Returns:
            float32 (h, 256), 0..1, over the whole picture; h is 256, or less where the picture is wide.
        """
        height, width = image.shape[:2]
        # The network sees a square. Of pictures squashed to one it knows the people in tall ones, but misses
        # those in wide ones: these are mirrored above and below instead.
        rows = _SIDE if height >= width else max(1, round(_SIDE * height / width))
        shrinks = width > _SIDE or height > rows
        scaled = cv2.resize(
            image, (_SIDE, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        above = (_SIDE - rows) // 2
        square = cv2.copyMakeBorder(scaled, above, _SIDE - rows - above, 0, 0, cv2.BORDER_REFLECT)
        return np.ascontiguousarray(self._run(square.astype(np.uint8))[0, 0, above : above + rows])

    def _run(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        blob = cv2.dnn.blobFromImage(square, 1 / 255)
        with self._lock:
            self._network.setInput(blob)
            return np.array(self._network.forward(), np.float32)


def find_segmenter(
    path: str | os.PathLike[str] | None = None, folder: str | os.PathLike[str] | None = None
) -> PersonSegmenter | None:
    """The person segmenter at a path, or from the models folder, or None where neither is there.

    Raises:
        InputError: the file is no person segmenter, or a path was given where there is none.
    """
    if path is not None:
        return PersonSegmenter(path)
    known = models_folder(folder) / find_known("person-segmenter")[0].file
    return PersonSegmenter(known) if known.is_file() else None
