"""Puppets that speak: the mouth is the sound's, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from speech_data import SPEECH

from megactor_core.puppets.clips import sample_clip
from megactor_core.puppets.motion import MOTION_NAMES, MOTION_RANGES, sample_motion
from megactor_core.puppets.speaking import sample_speaking_clip, speak
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.mouth import mouth_curve

MOUTH = slice(12, 15)


@pytest.fixture(scope="module")
def corpus() -> SpeechCorpus:
    return SpeechCorpus.read(SPEECH)


def other_voices(corpus: SpeechCorpus) -> SpeechCorpus:
    """A corpus that says something else, in the same splits."""
    first = replace(corpus.utterances[2], text="another", voice="en-us+m8")
    utterances = [first, *(replace(first, split=one.split) for one in corpus.utterances[1:])]
    sounds = np.tile((corpus.sound(2) * 32768).astype(np.int16), len(utterances))
    return SpeechCorpus(SPEECH, corpus.library, utterances, sounds)


def test_the_mouth_is_the_curve_at_the_frames_exact_times(corpus: SpeechCorpus) -> None:
    for index in range(5):
        spoken = sample_speaking_clip(4, index, 12, corpus, emotion=0)
        phonemes = corpus.utterances[spoken.utterance].phonemes
        np.testing.assert_array_equal(spoken.sound, corpus.sound(spoken.utterance))
        times = spoken.start + np.arange(12) / 25
        np.testing.assert_allclose(spoken.clip.motion[:, MOUTH], mouth_curve(phonemes, times), atol=1e-6)
        assert corpus.utterances[spoken.utterance].split == "train"
        assert len(spoken.heard) == 12 * 640
        first = round(spoken.start * 16_000)
        np.testing.assert_array_equal(spoken.heard, spoken.sound[first : first + 12 * 640])


def test_all_but_the_mouth_is_the_clip_that_does_not_speak(corpus: SpeechCorpus) -> None:
    silent, spoken = sample_clip(4, 1, 20), sample_speaking_clip(4, 1, 20, corpus).clip
    assert (silent.identity, silent.driver_identity) == (spoken.identity, spoken.driver_identity)
    np.testing.assert_array_equal(silent.reference_pose, spoken.reference_pose)
    np.testing.assert_array_equal(silent.motion[:, :12], spoken.motion[:, :12])
    assert np.abs(silent.motion[:, MOUTH] - spoken.motion[:, MOUTH]).max() > 0.1


def test_another_voice_changes_nothing_but_the_mouth_and_no_mood(corpus: SpeechCorpus) -> None:
    other = other_voices(corpus)
    first, second = (sample_speaking_clip(4, 1, 20, one) for one in (corpus, other))
    assert first.clip.identity == second.clip.identity
    np.testing.assert_array_equal(first.clip.motion[:, :12], second.clip.motion[:, :12])
    moods = []
    for one, spoken in ((corpus, first), (other, second)):
        calm = sample_speaking_clip(4, 1, 20, one, emotion=0).clip.motion
        moods.append(spoken.clip.motion[:, 14] - calm[:, 14])
        np.testing.assert_array_equal(spoken.clip.motion[:, :14], calm[:, :14])
    np.testing.assert_allclose(*moods, atol=1e-6)
    assert 0.01 < np.abs(moods[0]).max() <= 0.3


def test_the_motion_of_an_utterance_is_the_same_for_every_identity(corpus: SpeechCorpus) -> None:
    motions = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        motions.append(speak(sample_motion(rng, 15), rng, corpus, "held-out", 25).motion)
    np.testing.assert_array_equal(*motions)
    assert motions[0].dtype == np.float32 and motions[0].shape == (15, 15)
    assert (motions[0] >= MOTION_RANGES[:, 0]).all() and (motions[0] <= MOTION_RANGES[:, 1]).all()


def test_long_clips_say_several_utterances_with_pauses_between(corpus: SpeechCorpus) -> None:
    spoken = sample_speaking_clip(4, 0, 250, corpus, "held-out", emotion=0)
    assert len(spoken.sound) >= 10 * 16_000 and corpus.utterances[spoken.utterance].split == "held-out"
    assert len(spoken.heard) == 10 * 16_000
    loud = np.abs(spoken.heard).reshape(250, 640).max(axis=1)
    # Pauses between utterances are digital silence, for at least a quarter of a second: lips come to rest.
    pauses = np.flatnonzero(np.convolve(loud == 0, np.ones(5), "valid") == 5)
    assert len(pauses) and spoken.clip.motion[pauses + 2, 12].max() < 0.06
    assert spoken.clip.motion[loud > 0.05, 12].mean() > 0.2


def test_held_out_puppets_say_held_out_words(corpus: SpeechCorpus) -> None:
    said = {sample_speaking_clip(4, index, 5, corpus, "held-out").utterance for index in range(20)}
    assert said == {6, 7}
    assert {sample_speaking_clip(4, index, 5, corpus).utterance for index in range(40)} == set(range(6))


@pytest.mark.parametrize("coupling", [0.0, 0.8])
def test_brows_follow_the_mouth_as_far_as_they_are_coupled(corpus: SpeechCorpus, coupling: float) -> None:
    motion = np.concatenate(
        [sample_speaking_clip(6, index, 60, corpus, coupling=coupling).clip.motion for index in range(30)]
    )
    for name in ("brow_left", "brow_right"):
        column = MOTION_NAMES.index(name)
        assert np.corrcoef(motion[:, column], motion[:, 12])[0, 1] == pytest.approx(coupling, abs=0.12)
        assert 0.35 < motion[:, column].std() < 0.6
    for column in (0, 6, 8):
        assert abs(np.corrcoef(motion[:, column], motion[:, 12])[0, 1]) < 0.12
