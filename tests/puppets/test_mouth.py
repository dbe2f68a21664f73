"""What a mouth does to a row of phonemes."""

from __future__ import annotations

import numpy as np
import pytest
from speech_data import SPEECH

from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.mouth import Phoneme, mouth_classes, mouth_curve, unknown_phonemes


def phonemes_of(*parts: tuple[str, float]) -> list[Phoneme]:
    """Phonemes one after the other, with their lengths in seconds."""
    ends = np.cumsum([length for _, length in parts])
    return [Phoneme(end - length, end, name) for (name, length), end in zip(parts, ends, strict=True)]


@pytest.fixture(scope="module")
def corpus() -> SpeechCorpus:
    return SpeechCorpus.read(SPEECH)


def test_a_single_vowel_is_its_own_shape_at_all_times() -> None:
    curve = mouth_curve(phonemes_of(("'a", 0.2)), [-5.0, 0.0, 0.1, 0.2, 5.0])
    np.testing.assert_allclose(curve, np.tile(np.float32([0.95, 0.1, 0.0]), (5, 1)), atol=1e-6)
    assert curve.dtype == np.float32


def test_weights_of_two_neighbours_are_those_of_the_formula() -> None:
    # Middles .1 and .3; at .1 "a" has its full weight, 1.2, and "m", .14 s off its plateau, 3 exp(-.14/.045).
    weight = 3 * np.exp(-0.14 / 0.045)
    expected = 0.95 * 1.2 / (1.2 + weight)
    curve = mouth_curve(phonemes_of(("a", 0.2), ("m", 0.2)), [0.1])
    assert curve[0, 0] == pytest.approx(expected, abs=1e-6)
    assert curve[0, 1] == pytest.approx((0.1 * 1.2 - 0.05 * weight) / (1.2 + weight), abs=1e-6)


def test_a_diphthong_is_two_halves() -> None:
    times = np.linspace(0, 0.4, 9)
    whole = mouth_curve(phonemes_of(("k", 0.1), ("aI", 0.3)), times)
    halves = mouth_curve(phonemes_of(("k", 0.1), ("a", 0.15), ("I", 0.15)), times)
    np.testing.assert_allclose(whole, halves, atol=1e-6)
    # In the middle of "a", .15 s long: "k" is .125 s off, less a plateau of .03, "I" .15, less .045.
    weights = np.array([0.6 * np.exp(-0.095 / 0.045), 1.2, np.exp(-0.105 / 0.045)])
    expected = weights @ np.array([[0.3, 0, 0], [0.95, 0.1, 0], [0.32, 0.55, 0.3]]) / weights.sum()
    at_a = mouth_curve(phonemes_of(("k", 0.1), ("aI", 0.3)), [0.175])
    np.testing.assert_allclose(at_a[0], expected, atol=1e-6)


def test_lips_close_for_m_between_open_vowels() -> None:
    curve = mouth_curve(phonemes_of(("a", 0.12), ("m", 0.08), ("a", 0.12)), [0.06, 0.16, 0.26])
    assert curve[1, 0] < 0.2 < 0.6 < min(curve[0, 0], curve[2, 0])


def test_phonemes_40_ms_later_are_one_frame_later(corpus: SpeechCorpus) -> None:
    own = corpus.utterances[0].phonemes
    later = [Phoneme(one.start + 0.04, one.end + 0.04, one.name) for one in own]
    frames = np.arange(-5, 60) / 25
    np.testing.assert_allclose(
        mouth_curve(later, frames)[1:], mouth_curve(own, frames)[:-1], rtol=0, atol=1e-6
    )


def test_curves_of_speech(corpus: SpeechCorpus) -> None:
    lips, vowels, pauses, rounded = [], [], [], []
    for utterance in corpus.utterances:
        curve = mouth_curve(utterance.phonemes, np.arange(0, utterance.duration, 0.01))
        assert 0 <= curve[:, 0].min() and curve[:, 0].max() <= 1 and np.abs(curve[:, 1:]).max() <= 1
        middles = mouth_curve(utterance.phonemes, [(one.start + one.end) / 2 for one in utterance.phonemes])
        for phoneme, (opening, width, _) in zip(utterance.phonemes, middles, strict=True):
            kind, length = mouth_classes(phoneme.name), phoneme.end - phoneme.start
            if kind == ("bmp",):
                lips.append(opening)
            elif kind == ("a",) and length > 0.1:
                vowels.append(opening)
            elif kind == ("sil",) and length >= 0.2:
                pauses.append(opening)
            elif kind == ("w",):
                rounded.append(width)
    assert np.median(lips) == pytest.approx(0.08, abs=0.05) and max(lips) < 0.3
    assert np.median(vowels) == pytest.approx(0.75, abs=0.12)
    assert np.median(pauses) == pytest.approx(0.05, abs=0.04)
    assert np.median(rounded) == pytest.approx(-0.6, abs=0.12)


def test_every_phoneme_of_english_has_a_shape(corpus: SpeechCorpus) -> None:
    phonemes = [phoneme for utterance in corpus.utterances for phoneme in utterance.phonemes]
    assert len(phonemes) > 150 and unknown_phonemes(phonemes) == []
    assert unknown_phonemes([Phoneme(0, 0.1, "X!")]) == ["X!"]
