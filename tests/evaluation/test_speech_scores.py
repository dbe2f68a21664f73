"""The numbers of a test of speech tell what moves a mouth, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from megactor_core.evaluation.measures.lip_motion import loudness, pauses, quiet_frames
from megactor_core.evaluation.speech.drives import AMPLITUDES
from megactor_core.evaluation.speech.reading import SpeechReading
from megactor_core.evaluation.speech.scores import Numbers, SpeechScores
from megactor_core.puppets.motion import MOTION_NAMES, at_rest
from megactor_core.puppets.speaking import SpeakingClip, sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus

CORPUS = SpeechCorpus.read(Path(__file__).resolve().parents[1] / "data" / "speech.npz")
CLIPS = [sample_speaking_clip(0, index, 50, CORPUS, "held-out") for index in range(9)]
AT = np.arange(0, 50, 2)
WHOLE_AT = AT[::3]
REST = at_rest(np.zeros((50, 15), np.float32))[:, -3:]
BROW = MOTION_NAMES.index("brow_left")

Painter = Callable[[str, SpeakingClip, SpeakingClip], np.ndarray]
"""Mouth (F, 3) of a drive of a clip, with that other clip's sound or mouth."""


def mouth(clip: SpeakingClip) -> np.ndarray:
    return clip.clip.motion[:, -3:]


def follows_the_sound(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    if drive in ("silent", "shown", "rest"):
        return REST
    heard = mouth(other if drive == "shuffled" else own)
    factor = AMPLITUDES.get(drive, 1.0)
    return REST + factor * (heard - REST)


def follows_the_driver(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    return mouth(other) if drive in ("hidden", "shown") else REST


def never_moves(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    return REST


def is_slow(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    """As soft in time as pictures are in space."""
    sharp = follows_the_sound(drive, own, other)
    padded = np.pad(sharp, ((6, 6), (0, 0)), "edge")
    return np.stack([padded[k : k + 13].mean(axis=0) for k in range(50)])


def guesses_from_the_brows(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    painted = REST.copy()
    painted[:, 0] = 0.3 + 0.2 * own.clip.motion[:, BROW]
    return painted


def babbles(drive: str, own: SpeakingClip, other: SpeakingClip) -> np.ndarray:
    """Moves whatever is heard or shown."""
    seed = sum(map(ord, drive)) + own.utterance
    return np.random.default_rng(seed).uniform((0, -1, -1), (1, 1, 1), (50, 3)).astype(np.float32)


def scores(paint: Painter) -> Numbers:
    readings = []
    for index, own in enumerate(CLIPS[:-1]):
        other = CLIPS[index + 1]
        drives = ("shuffled", "silent", *AMPLITUDES, "hidden", "shown")
        mouths = {name: paint(name, own, other)[AT] for name in drives}
        mouths |= {"truth": mouth(own)[AT], "autoencoder": mouth(own)[AT], "rest": REST[AT]}
        times = own.start + np.arange(50) / 25
        whole = own.clip.motion[WHOLE_AT]
        reading = SpeechReading(
            index=index,
            utterance=own.utterance,
            motion=own.clip.motion,
            hidden_mouth=mouth(other),
            quiet=quiet_frames(times, pauses(own.sound)),
            loudness=loudness(own.sound, times),
            at=AT,
            mouths=mouths,
            whole_at=WHOLE_AT,
            whole={"own": whole, "silent": whole, "truth": whole},
            psnr=dict.fromkeys((*drives, "autoencoder", "copy"), 20.0),
        )
        readings.append(reading)
    return SpeechScores(readings, 0).all()


@pytest.fixture(scope="module")
def perfect() -> Numbers:
    return scores(follows_the_sound)


def test_a_mouth_that_follows_the_sound_is_perfect(perfect: Numbers) -> None:
    opening = perfect["mouth"]["mouth_open"]
    assert opening["own"]["mean"] > 0.999 and abs(opening["shuffled"]["mean"]) < 0.3
    assert opening["silent"]["mean"] == 0 and opening["gap"]["low"] > 0.5
    assert perfect["lag"]["own"]["at_0"]["mean"] == 1 and perfect["lag"]["own"]["median"] == 0
    assert perfect["closure"]["own"]["mean"] > perfect["closure"]["always_closed"]["mean"] + 0.3
    assert perfect["stillness"]["silence"]["mean"] == 0 < 0.1 < perfect["stillness"]["speech"]["mean"]
    assert [row["relative"]["mean"] for row in perfect["amplitude"]] == pytest.approx([0, 0.5, 1, 1.5])
    assert [row["correlation"]["mean"] > 0.99 for row in perfect["amplitude"]] == [False, True, True, True]
    decoupling = perfect["decoupling"]
    assert decoupling["hidden_sound"] == decoupling["own_sound"]
    assert decoupling["hidden_driver"]["mean"] == pytest.approx(decoupling["driver_and_sound"]["mean"])
    assert perfect["shortcut"]["index"]["mean"] == 0 < 0.9 < perfect["shortcut"]["brows"]["mean"]


def test_the_truth_reads_as_the_truth(perfect: Numbers) -> None:
    for bound in ("truth", "autoencoder"):
        assert all(row[bound]["mean"] > 0.99 for row in perfect["mouth"].values())
        assert perfect["lag"][bound]["at_0"]["mean"] == 1
        assert perfect["closure"][bound]["mean"] == 1


def test_a_mouth_that_follows_the_driver_is_found_out() -> None:
    found = scores(follows_the_driver)
    assert found["decoupling"]["hidden_driver"]["mean"] > 0.99
    assert found["decoupling"]["shown_driver"]["mean"] > 0.99
    assert found["decoupling"]["hidden_sound"]["mean"] < 0.3
    assert found["mouth"]["mouth_open"]["own"]["mean"] == 0 and found["lag"]["own"]["at_0"]["mean"] == 0


def test_a_mouth_that_never_moves_is_still_and_nothing_else() -> None:
    found = scores(never_moves)
    assert found["stillness"]["silence"]["mean"] == 0 == found["stillness"]["speech"]["mean"]
    assert found["mouth"]["mouth_open"]["gap"]["mean"] == 0 == found["lag"]["own"]["within_1"]["mean"]
    closure = found["closure"]
    assert closure["own"]["mean"] == closure["always_closed"]["mean"] == closure["shuffled"]["mean"]
    assert [row["relative"]["mean"] for row in found["amplitude"]] == [0, 0, 0, 0]


def test_a_slow_mouth_is_told_from_a_quick_one(perfect: Numbers) -> None:
    found = scores(is_slow)
    assert found["mouth"]["mouth_open"]["own"]["mean"] < 0.75
    assert found["closure"]["own"]["mean"] < perfect["closure"]["own"]["mean"] - 0.2
    assert found["stillness"]["speech"]["mean"] < 0.7 * perfect["stillness"]["speech"]["mean"]


def test_a_mouth_that_is_guessed_from_the_brows_has_a_shortcut() -> None:
    shortcut = scores(guesses_from_the_brows)["shortcut"]
    assert shortcut["left"]["mean"] > 0.99 and shortcut["index"]["mean"] > 0.5 > shortcut["chance"]["mean"]


def test_a_mouth_that_moves_at_random_is_neither_still_nor_in_time() -> None:
    found = scores(babbles)
    assert found["stillness"]["silence"]["mean"] > 0.2
    assert abs(found["mouth"]["mouth_open"]["gap"]["mean"]) < 0.3
    assert found["lag"]["own"]["within_1"]["mean"] < 0.8
