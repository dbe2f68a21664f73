"""Frechet video distance, with a network whose features are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_file import write_pooling

from megactor_core.errors import InputError
from megactor_core.evaluation.measures.video_distance import VideoFeatures, frechet_distance


def test_distance_of_normal_distributions() -> None:
    # independent features: the sum of (difference of means)^2 + (difference of deviations)^2
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (20_000, 3)), rng.normal((1, 0, 2), (1, 3, 2), (20_000, 3))
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + 0 + 4 + 1, rel=0.03)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_fewer_clips_than_features_are_no_obstacle() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (3, 50))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + 1) == pytest.approx(50, rel=1e-6)


def test_the_network_sees_clips_as_documented(tmp_path: Path) -> None:
    weights = write_pooling(tmp_path / "video.onnx", (1, 3, 4, 224, 224), (2, 224, 224))
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    frames[:2, ..., 0] = 255  # red in the first half
    features = VideoFeatures(weights, 4)(frames)
    np.testing.assert_allclose(features.reshape(3, 2), [[1, -1], [-1, -1], [-1, -1]], atol=1e-6)


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a network"):
        VideoFeatures(broken, 4)
    with pytest.raises(InputError, match="no such file"):
        VideoFeatures(tmp_path / "missing.onnx", 4)
