"""Numbers of a test of speech from what was read of its clips: over all clips, with intervals, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...puppets.motion import MOTION_NAMES, MOUTH_COLUMNS, MOUTH_NAMES
from ..measures.bootstrap import mean_with_interval, statistic_with_interval
from ..measures.correlation import correlation_of, correlation_sums
from ..measures.lip_motion import (
    CLOSED,
    FURTHEST_LAG,
    best_lag,
    closure_counts,
    closure_f1,
    deviation,
)
from ..measures.pixels import motion_correlation
from .drives import AMPLITUDES
from .reading import SpeechReading

Numbers = dict[str, Any]
Interval = dict[str, float | None]
Curve = NDArray[np.floating]

OPEN = 0
"""Column of the opening among the parameters of a mouth."""

BOUNDS = ("truth", "autoencoder")
HEARD = ("own", "shuffled", "silent")

_BROWS = [MOTION_NAMES.index(name) for name in ("brow_left", "brow_right")]
_REST = [name for name in MOTION_NAMES if name not in MOUTH_NAMES]


class SpeechScores:
    """Computes the numbers of some clips; every one has ``mean``, ``low`` and ``high`` of a 95 % interval.

    Args:
        readings: at least one; all of the same parts.
        seed: of the intervals.
    """

    def __init__(self, readings: Sequence[SpeechReading], seed: int) -> None:
        self._readings, self._seed = readings, seed

    def all(self) -> Numbers:
        """Every measure whose drives were made, see docs/evaluation.md."""
        made = set(self._readings[0].mouths)
        numbers: Numbers = {}
        if made.issuperset(HEARD):
            numbers |= {
                "mouth": self.mouth(),
                "lag": self.lag(),
                "closure": self.closure(),
                "stillness": self.stillness(),
                "rest": self.rest(),
            }
        if made.issuperset(AMPLITUDES):
            numbers["amplitude"] = self.amplitude()
        if made.issuperset(("own", "hidden", "shown")):
            numbers["decoupling"] = self.decoupling()
        if "silent" in made:
            numbers["shortcut"] = self.shortcut()
        return numbers

    def mouth(self) -> Numbers:
        """Correlation with the mouth of the clip's own speech: by parameter the drives, the bounds of the
        reading, and ``gap``, that of ``own`` less that of ``shuffled``."""
        return {name: self._mouth(column) for column, name in enumerate(MOUTH_NAMES)}

    def _mouth(self, column: int) -> Numbers:
        sums = {
            name: np.stack([_with_truth(one, name, column) for one in self._with(name)])
            for name in (*HEARD, *BOUNDS)
            if self._with(name)
        }
        both = np.concatenate((sums["own"], sums["shuffled"]), axis=1)

        def gap(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return correlation_of(values[..., :6]) - correlation_of(values[..., 6:])

        return {
            **{name: self._interval(values, correlation_of) for name, values in sums.items()},
            "gap": self._interval(both, gap),
        }

    def lag(self) -> Numbers:
        """Best lag of the opening in frames: shares of clips at 0 and within 1, of which a mouth that does
        not move is none; median, and ``counts`` from 5 early to 5 late. ``shuffled``: what chance gives."""
        return {name: self._lag(name) for name in ("own", "shuffled", *BOUNDS) if self._with(name)}

    def _lag(self, name: str) -> Numbers:
        found = [clip_lag(one, name) for one in self._with(name)]
        lags = np.array([lag for lag in found if lag is not None], int)
        within = {"at_0": 0, "within_1": 1}
        shares = {
            key: np.array([lag is not None and abs(lag) <= most for lag in found], float)
            for key, most in within.items()
        }
        counts = np.bincount(lags + FURTHEST_LAG, minlength=2 * FURTHEST_LAG + 1)
        return {
            **{key: mean_with_interval(hits, self._seed) for key, hits in shares.items()},
            "median": float(np.median(lags)) if len(lags) else None,
            "counts": counts.tolist(),
        }

    def closure(self) -> Numbers:
        """F1 of closed frames; ``always_closed``: of a mouth that never opens; ``share``: of closed frames in
        the truth."""
        counts = {
            name: np.stack(
                [closure_counts(one.mouths[name][:, OPEN], _true_opening(one)) for one in self._with(name)]
            )
            for name in ("own", "shuffled", *BOUNDS)
            if self._with(name)
        }
        never = [closure_counts(np.zeros(len(one.at)), _true_opening(one)) for one in self._readings]
        counts["always_closed"] = np.stack(never)
        closed = np.concatenate([_true_opening(one) < CLOSED for one in self._readings])
        return {
            **{name: self._interval(values, closure_f1) for name, values in counts.items()},
            "share": float(closed.mean()),
        }

    def stillness(self) -> Numbers:
        """Standard deviation of the opening, mean over the clips: ``pauses`` of its own speech, ``silence``
        with a silent waveform; beside them ``speech``, the whole clip with its own speech, and ``level``, the
        mean opening in silence. ``truth_*``: the same read of true frames."""
        numbers = {
            "pauses": self._mean("own", lambda one, curve: deviation(curve[one.quiet[one.at]])),
            "silence": self._mean("silent", lambda one, curve: deviation(curve)),
            "speech": self._mean("own", lambda one, curve: deviation(curve)),
            "level": self._mean("silent", lambda one, curve: float(curve.mean())),
        }
        if self._with("truth"):
            numbers["truth_pauses"] = self._mean(
                "truth", lambda one, curve: deviation(curve[one.quiet[one.at]])
            )
            numbers["truth_silence"] = self._mean("rest", lambda one, curve: deviation(curve))
            numbers["truth_speech"] = self._mean("truth", lambda one, curve: deviation(curve))
        return numbers

    def rest(self) -> Numbers:
        """What is not the mouth: ``correlation`` of the other twelve parameters with ``own`` speech and
        ``silent``, their mean difference; ``psnr`` in dB outside the lower face."""
        truth = np.concatenate([one.motion[one.whole_at] for one in self._readings])
        found = {}
        for name in ("own", "silent"):
            read = np.concatenate([one.whole[name] for one in self._readings])
            values = motion_correlation(read, truth)
            found[name] = {parameter: values[parameter] for parameter in _REST}
        means = {name: float(np.mean(list(values.values()))) for name, values in found.items()}
        names = ("own", "silent", "autoencoder", "copy")
        return {
            "correlation": {**found, "mean": means, "difference": means["own"] - means["silent"]},
            "psnr": {
                name: mean_with_interval(np.array([one.psnr[name] for one in self._readings]), self._seed)
                for name in names
            },
        }

    def amplitude(self) -> list[Numbers]:
        """For each amplitude of speech the standard deviation of the opening, what that is ``relative`` to
        amplitude 1, and the correlation with the true opening."""
        return [
            {"amplitude": factor, **self._amplitude(name)}
            for name, factor in sorted(AMPLITUDES.items(), key=lambda item: item[1])
        ]

    def _amplitude(self, name: str) -> Numbers:
        spread = np.array(
            [[deviation(one.mouths[key][:, OPEN]) for key in (name, "own")] for one in self._readings]
        )
        truth = np.stack([_with_truth(one, name, OPEN) for one in self._readings])
        return {
            "deviation": mean_with_interval(spread[:, 0], self._seed),
            "relative": self._interval(spread, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1e-9)),
            "correlation": self._interval(truth, correlation_of),
        }

    def decoupling(self) -> Numbers:
        """Correlation of the opening. ``hidden_driver``, ``hidden_sound``: with the driver's mouth, which
        moves and is not shown, and with the sound; ``own_sound``: with a driver at rest. ``shown_driver``:
        with the driver's mouth that is shown, in silence. ``driver_and_sound``: of the two truths, what
        chance gives."""
        own, hidden, shown = (
            [one.mouths[name][:, OPEN] for one in self._readings] for name in ("own", "hidden", "shown")
        )
        driver = [one.hidden_mouth[one.at, OPEN] for one in self._readings]
        sound = [_true_opening(one) for one in self._readings]
        pairs = {
            "hidden_driver": (hidden, driver),
            "hidden_sound": (hidden, sound),
            "own_sound": (own, sound),
            "shown_driver": (shown, driver),
            "driver_and_sound": (sound, driver),
        }
        return {name: self._correlation(*curves) for name, curves in pairs.items()}

    def shortcut(self) -> Numbers:
        """``index``: mean absolute correlation of both brows that the driver shows with the mouth's opening,
        in silence; ``chance``: the same with the brows of another clip. Beside it how far the mouth moves,
        and how well the painted brows follow the shown ones: a model that does neither has an index of 0."""
        openings = [one.mouths["silent"][:, OPEN] for one in self._readings]
        brows = [one.motion[one.at][:, _BROWS] for one in self._readings]
        others = [*brows[1:], *brows[:1]]
        painted = [one.whole["silent"][:, _BROWS] for one in self._readings]
        shown = [one.motion[one.whole_at][:, _BROWS] for one in self._readings]
        return {
            "index": self._mean_correlation(openings, brows, absolute=True),
            "chance": self._mean_correlation(openings, others, absolute=True) if len(brows) > 1 else None,
            "left": self._correlation(openings, [one[:, 0] for one in brows]),
            "right": self._correlation(openings, [one[:, 1] for one in brows]),
            "brows": self._mean_correlation(painted, shown),
            "deviation": self._mean("silent", lambda one, curve: deviation(curve)),
        }

    def _mean_correlation(
        self, first: Sequence[Curve], second: Sequence[Curve], absolute: bool = False
    ) -> Interval:
        """Mean of both columns' correlations; ``first`` may have one column for both."""
        sums = []
        for one, other in zip(first, second, strict=True):
            columns = np.broadcast_to(one.reshape(len(one), -1), other.shape)
            sums.append(np.concatenate([correlation_sums(columns[:, k], other[:, k]) for k in (0, 1)]))

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            both = np.stack([correlation_of(values[..., :6]), correlation_of(values[..., 6:])])
            return np.asarray((np.abs(both) if absolute else both).mean(axis=0))

        return self._interval(np.stack(sums), mean)

    def _correlation(self, first: Sequence[Curve], second: Sequence[Curve]) -> Interval:
        sums = [correlation_sums(one, other) for one, other in zip(first, second, strict=True)]
        return self._interval(np.stack(sums), correlation_of)

    def _mean(self, name: str, number: Any) -> Interval:
        """Mean over the clips that have a number."""
        values = np.array([number(one, one.mouths[name][:, OPEN]) for one in self._with(name)])
        values = values[~np.isnan(values)]
        if not len(values):
            return {"mean": None, "low": None, "high": None}
        return mean_with_interval(values, self._seed)

    def _with(self, name: str) -> list[SpeechReading]:
        return [one for one in self._readings if name in one.mouths]

    def _interval(self, sums: NDArray[np.float64], statistic: Any) -> Interval:
        return statistic_with_interval(sums, statistic, self._seed)


def clip_lag(reading: SpeechReading, name: str) -> int | None:
    """Frames by which the opening of a drive is late; None where it does not move."""
    lag = best_lag(reading.mouths[name][:, OPEN], reading.at, reading.motion[:, MOUTH_COLUMNS[OPEN]])
    return None if lag is None else lag.frames


def _true_opening(one: SpeechReading) -> Curve:
    return one.motion[one.at, MOUTH_COLUMNS[OPEN]]


def _with_truth(one: SpeechReading, name: str, column: int) -> NDArray[np.float64]:
    return correlation_sums(one.mouths[name][:, column], one.motion[one.at, MOUTH_COLUMNS[column]])
