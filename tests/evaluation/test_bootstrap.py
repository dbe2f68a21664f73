"""Intervals of means."""

from __future__ import annotations

import numpy as np
import pytest

from megactor_core.evaluation.measures.bootstrap import (
    FEWEST,
    mean_with_interval,
    statistic_with_interval,
)
from megactor_core.evaluation.measures.correlation import correlation_of, correlation_sums, pearson


def test_the_interval_has_the_width_of_the_means_deviation() -> None:
    values = np.random.default_rng(0).normal(10, 3, 400)
    found = mean_with_interval(values, seed=1)
    half = 1.96 * values.std() / 20
    assert found["mean"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.05)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.05)


def test_the_seed_decides_the_interval() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20)
    assert mean_with_interval(values, 3) == mean_with_interval(values, 3) != mean_with_interval(values, 4)


def test_a_correlation_over_all_clips_is_that_of_their_frames_together() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0.3, 0.2, (30, 25))
    y = 0.5 * x + rng.normal(0, 0.1, x.shape)
    sums = np.stack([correlation_sums(one, other) for one, other in zip(x, y, strict=True)])
    found = statistic_with_interval(sums, correlation_of, seed=0)
    assert found["mean"] == pytest.approx(pearson(x.ravel(), y.ravel()))
    assert found["low"] < found["mean"] < found["high"] < found["low"] + 0.15
    assert correlation_of(correlation_sums(np.full(9, 0.3), np.arange(9.0))) == 0


def test_few_clips_have_no_interval() -> None:
    assert mean_with_interval(np.arange(FEWEST - 1.0), 0)["low"] is None
    assert mean_with_interval(np.arange(float(FEWEST)), 0)["low"] is not None
