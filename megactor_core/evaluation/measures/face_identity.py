"""Identity similarity by a face recogniser whose weights the user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...vision.faces import Detector, choose_face

_REMEDY = (
    "Give an ONNX file of a face recogniser that takes aligned faces of 112x112 pixels, for instance SFace"
)


class IdentityRecogniser:
    """A face recogniser through ``cv2.FaceRecognizerSF``, e.g. SFace (Zhong et al. 2021).

    Faces are turned and scaled by their five points to 112x112 pixels, the alignment of ArcFace (Deng et al.
    2019).

    Args:
        weights: ONNX network: float32 (1, 3, 112, 112) RGB in 0..255 to a vector.
        detector: finds the largest face and its five points.

    Raises:
        InputError: no such file, or no network of that kind.
    """

    def __init__(self, weights: Path, detector: Detector) -> None:
        if not weights.is_file():
            raise InputError(weights, "there is no such file", _REMEDY)
        self._detector = detector
        logging: Any = getattr(cv2.utils, "logging", cv2)
        log_level = logging.setLogLevel(0)
        try:
            self._recogniser = cv2.FaceRecognizerSF.create(str(weights), "")
            self._recogniser.feature(np.zeros((112, 112, 3), np.uint8))
        except (cv2.error, SystemError) as error:
            raise InputError(weights, "is not a face recogniser", _REMEDY) from error
        finally:
            logging.setLogLevel(log_level)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Unit vector of the face in a picture, uint8 RGB (H, W, 3); None without a face or its points."""
        faces = self._detector.detect(image)
        face = choose_face(faces) if faces else None
        if face is None or face.points is None:
            return None
        left, top, right, bottom = face.box
        row = np.array([left, top, right - left, bottom - top, *face.points.ravel(), face.score], np.float32)
        aligned = self._recogniser.alignCrop(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), row)
        vector = np.asarray(self._recogniser.feature(aligned), np.float64).ravel()
        return vector / max(float(np.linalg.norm(vector)), 1e-12)
