"""The table of files that can be fetched: where each lives, how it is checked, what it is for."""

from __future__ import annotations

from ..errors import InputError
from ..families.family import KnownFile
from ..families.registry import FAMILIES

_VISION: tuple[KnownFile, ...] = (
    KnownFile(
        name="face-detector",
        family="vision",
        file="face_detection_yunet_2023mar.onnx",
        repository="opencv/face_detection_yunet",
        revision="3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
        path="face_detection_yunet_2023mar.onnx",
        size=232_589,
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        licence="MIT",
        purpose="finds faces and their five points (YuNet, read by OpenCV)",
    ),
    KnownFile(
        name="face-landmarker",
        family="vision",
        file="face_landmarker_v2_with_blendshapes.task",
        path="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
        "face_landmarker.task",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0",
        purpose="478 face landmarks for the contour driving mode (optional, read by MediaPipe)",
    ),
    KnownFile(
        name="person-segmenter",
        family="vision",
        file="selfie_segmentation.tflite",
        path="https://cdn.jsdelivr.net/npm/@mediapipe/selfie_segmentation@0.1.1675465747/"
        "selfie_segmentation.tflite",
        size=249_024,
        sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        licence="Apache-2.0",
        purpose="tells people from background (MediaPipe's selfie segmentation, read by OpenCV)",
    ),
)


def catalogue() -> tuple[KnownFile, ...]:
    """All known files: those that find faces and people, then those of every family."""
    return (*_VISION, *(row for family in FAMILIES.values() for row in family.files))


def find_known(name: str) -> tuple[KnownFile, ...]:
    """Rows called ``name``, or the required rows of the family ``name``.

    Raises:
        InputError: no such row or family.
    """
    known = catalogue()
    rows = tuple(row for row in known if row.name == name)
    rows = rows or tuple(row for row in known if row.family == name and row.required)
    if not rows:
        names = ", ".join(dict.fromkeys([row.family for row in known] + [row.name for row in known]))
        raise InputError(name, "is not in the table of weights", f"Choose one of: {names}")
    return rows
