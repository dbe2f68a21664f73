"""Landmark lip sync: on rendered puppets that speak, of which it is known when and what they say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from megactor_core.errors import InputError
from megactor_core.hearing.lip_sync import lag_correlations, lip_sync, mouth_ratios
from megactor_core.hearing.mouth_reader import MouthReader, load_mouth_reader
from megactor_core.media.waveform import SAMPLE_RATE
from megactor_core.puppets.renderer import Puppet
from megactor_core.puppets.speaking import SpeakingClip, sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.mouth import mouth_curve

SPEECH = Path(__file__).resolve().parents[1] / "data" / "speech.npz"
FRAMES = 48


@cache
def reader() -> MouthReader:
    return load_mouth_reader()


@cache
def speaking(index: int) -> tuple[SpeakingClip, np.ndarray]:
    """A clip of held-out words and voices, and the landmarks of its frames."""
    clip = sample_speaking_clip(3, index, FRAMES, SpeechCorpus.read(SPEECH), "held-out")
    puppet = Puppet(clip.clip.identity, 128)
    return clip, np.stack([puppet.frame(pose).landmarks for pose in clip.clip.motion])


def earlier(clip: SpeakingClip, frames: int) -> np.ndarray:
    """The clip's sound, so many frames earlier."""
    first = round((clip.start + frames / 25) * SAMPLE_RATE) + SAMPLE_RATE
    return np.pad(clip.sound, SAMPLE_RATE)[first : first + FRAMES * SAMPLE_RATE // 25]


@pytest.mark.parametrize("index", [0, 1])
def test_a_lag_is_found_to_the_frame(index: int):
    clip, landmarks = speaking(index)
    for frames in (-7, -3, 0, 1, 4, 8):
        found = lip_sync(landmarks, earlier(clip, frames), 25, reader())
        assert found.lag == frames and found.r > 0.7 and found.confidence > 0.4
        assert frames == 0 or found.r_at_0 < found.r


def test_the_sound_of_another_fits_nowhere():
    clip, landmarks = speaking(0)
    other = next(other for other, _ in map(speaking, range(1, 9)) if other.utterance != clip.utterance)
    own = lip_sync(landmarks, clip.heard, 25, reader())
    assert lip_sync(landmarks, other.heard, 25, reader()).r < own.r - 0.2


def test_frames_without_a_face_do_not_count():
    clip, landmarks = speaking(0)
    whole = lip_sync(landmarks, clip.heard, 25, reader())
    gaps = landmarks.copy()
    gaps[5:9] = np.nan
    found = lip_sync(gaps, clip.heard, 25, reader())
    listed = lip_sync([None if np.isnan(one).any() else one for one in gaps], clip.heard, 25, reader())
    assert found == listed and found.frames == FRAMES - 4
    assert found.lag == whole.lag and found.r == pytest.approx(whole.r, abs=0.1)


def test_where_nothing_can_be_compared_there_is_no_number():
    clip, landmarks = speaking(0)
    still = np.repeat(landmarks[:1], FRAMES, axis=0)
    for seen, sound in ((still, clip.heard), (landmarks[:5], clip.heard), (landmarks * np.nan, clip.heard)):
        assert np.isnan(lip_sync(seen, sound, 25, reader()).r)
    with pytest.raises(InputError, match="sound: is empty"):
        lip_sync(landmarks, clip.heard[:0], 25, reader())


def test_the_ratio_grows_with_the_opening_and_not_with_the_picture():
    clip, landmarks = speaking(0)
    assert mouth_ratios(landmarks * 3) == pytest.approx(mouth_ratios(landmarks), rel=1e-4)
    opening = clip.clip.motion[:, 12]
    assert np.corrcoef(mouth_ratios(landmarks), opening)[0, 1] > 0.95


@pytest.mark.parametrize("lag", range(-3, 4))
def test_a_known_delay_reads_itself(lag: int):
    rng = np.random.default_rng(2)
    heard = rng.standard_normal(80)
    found = lag_correlations(np.roll(heard, lag)[10:70], heard[10:70], 5)
    assert int(np.nanargmax(found)) - 5 == lag and np.nanmax(found) == pytest.approx(1)


def test_the_bundled_reader_reads_held_out_voices():
    corpus = SpeechCorpus.read(SPEECH)
    pairs = []
    for number in corpus.of_split("held-out"):
        utterance = corpus.utterances[number]
        times = np.arange(0, utterance.duration, 0.04)
        pairs.append((reader().read(corpus.sound(number), times), mouth_curve(utterance.phonemes, times)))
    read, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    r = [np.corrcoef(read[:, column], truth[:, column])[0, 1] for column in range(3)]
    assert min(r) > 0.8 and read.shape[1] == 3
