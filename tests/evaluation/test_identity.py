"""Face embeddings, with a recogniser whose vector is the coarse picture itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_file import write_pooling

from megactor_core.errors import InputError
from megactor_core.evaluation.measures.face_identity import IdentityRecogniser
from megactor_core.vision.faces import Face

POINTS = np.array([(40, 50), (70, 50), (55, 68), (43, 85), (67, 85)], np.float32)


class FaceWhere:
    """A face where the corner of the picture is not black."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return (Face((30, 30, 80, 95), 0.9, POINTS),) if image[0, 0].any() else ()


class MovedFace:
    """The same face elsewhere in the picture."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return (Face((50, 35, 100, 100), 0.9, POINTS + np.float32((20, 5))),)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pooling(tmp_path_factory.mktemp("face") / "face.onnx", (1, 3, 112, 112), (28, 28))


@pytest.fixture(scope="module")
def recognise(weights: Path) -> IdentityRecogniser:
    return IdentityRecogniser(weights, FaceWhere())


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(1, 256, (8, 8, 3), np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))


def test_a_face_is_most_like_itself(recognise: IdentityRecogniser) -> None:
    one, brighter, other = recognise(picture(0)), recognise(picture(0) // 2), recognise(picture(1))
    assert one @ one == pytest.approx(1)
    assert one @ brighter == pytest.approx(1, abs=0.01)
    assert one @ other < 0.99


def test_a_moved_face_is_the_same_face(recognise: IdentityRecogniser, weights: Path) -> None:
    moved = np.roll(picture(0), (5, 20), (0, 1))
    vector = IdentityRecogniser(weights, MovedFace())(moved)
    assert recognise(picture(0)) @ vector == pytest.approx(1, abs=1e-3)


def test_without_a_face_there_is_no_identity(recognise: IdentityRecogniser) -> None:
    assert recognise(np.zeros((128, 128, 3), np.uint8)) is None


def test_what_is_no_recogniser_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a face recogniser"):
        IdentityRecogniser(broken, FaceWhere())
    with pytest.raises(InputError, match="no such file"):
        IdentityRecogniser(tmp_path / "missing.onnx", FaceWhere())
