"""Puppets that speak: a mouth that follows a sound, while the rest of the face knows nothing of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..media.waveform import SAMPLE_RATE
from ..seeds import SPEECH, Split, clip_generator
from .clips import FRAME_RATE, PuppetClip, sample_clip
from .motion import MOTION_NAMES, MOTION_RANGES, MOUTH_COLUMNS, FloatArray, wander
from .speech.corpus import SpeechCorpus
from .speech.mouth import Phoneme, mouth_curve

_BROWS = [MOTION_NAMES.index(name) for name in ("brow_left", "brow_right")]
_SMILE = MOTION_NAMES.index("smile")

EMOTION = 0.3
"""How far a mood raises or lowers a speaking puppet's smile at most."""

_PAUSE = (0.25, 0.6)
"""Seconds between two utterances."""

_OPENING_MEAN, _OPENING_STD, _BROW_STD = 0.29, 0.165, 0.5
"""Of an hour of speech, and of the brows of ``sample_motion``."""


@dataclass(frozen=True, eq=False)
class SpokenMotion:
    """Motion of a puppet that speaks, and its sound.

    Attributes:
        motion: float32 (F, 15), see ``motion.MOTION_NAMES``.
        sound: float32 (samples,), 16 kHz mono: a whole utterance, or several with pauses between where a clip
            lasts longer.
        start: seconds within the sound at which frame 0 is; a whole number of samples.
        utterance: number of the first utterance in the corpus.
    """

    motion: FloatArray
    sound: FloatArray
    start: float
    utterance: int


@dataclass(frozen=True, eq=False)
class SpeakingClip:
    """A puppet clip with its sound; ``sound``, ``start`` and ``utterance`` as of ``SpokenMotion``."""

    clip: PuppetClip
    sound: FloatArray
    start: float
    utterance: int

    @property
    def heard(self) -> FloatArray:
        """The sound from frame 0 to the end of the last frame, float32 (samples,)."""
        first = round(self.start * SAMPLE_RATE)
        return self.sound[first : first + round(len(self.clip.motion) * SAMPLE_RATE / self.clip.frame_rate)]


def sample_speaking_clip(
    seed: int,
    index: int,
    num_frames: int,
    corpus: SpeechCorpus,
    split: Split = "train",
    frame_rate: float = FRAME_RATE,
    *,
    coupling: float = 0.0,
    emotion: float = EMOTION,
) -> SpeakingClip:
    """``clips.sample_clip`` with a mouth that speaks; all but the mouth (and coupled brows) is the same.

    Args:
        seed, index, num_frames, split, frame_rate: of the clip; the split is also that of what is said.
        corpus, coupling, emotion: see ``speak``.

    Raises:
        InputError: the corpus has no utterances of the split.
    """
    clip = sample_clip(seed, index, num_frames, split, frame_rate)
    rng = clip_generator(seed, index, split, SPEECH)
    spoken = speak(clip.motion, rng, corpus, split, frame_rate, coupling=coupling, emotion=emotion)
    return SpeakingClip(replace(clip, motion=spoken.motion), spoken.sound, spoken.start, spoken.utterance)


def speak(
    motion: FloatArray,
    rng: np.random.Generator,
    corpus: SpeechCorpus,
    split: Split,
    frame_rate: float,
    *,
    coupling: float = 0.0,
    emotion: float = EMOTION,
) -> SpokenMotion:
    """A motion whose mouth says random utterances of a corpus.

    Args:
        motion: float32 (F, 15); mouth_open, mouth_width and smile are replaced, the rest is kept.
        rng: of what is said and of the mood, alone.
        corpus: what can be said.
        split: of it.
        frame_rate: frames per second.
        coupling: rho, 0 to 1; the brows become ``rho open' + sqrt(1 - rho^2) own``, with open' the opening
            scaled to the spread of brows. A model that is shown the brows can then guess the mouth.
        emotion: how far a slow mood, of which the sound tells nothing, moves the smile; 0: not at all.

    Raises:
        InputError: the corpus has no utterances of the split.
    """
    times = np.arange(len(motion)) / frame_rate
    mood = emotion * wander(rng, times.astype(np.float32), (0.8, 1.6), (0.5, 2.0), 0.5)
    utterance, sound, phonemes = _talk(rng, corpus, split, len(motion) / frame_rate)
    free = len(sound) - round(len(motion) * SAMPLE_RATE / frame_rate)
    start = int(rng.integers(free + 1)) / SAMPLE_RATE
    spoken = motion.astype(np.float64)
    spoken[:, MOUTH_COLUMNS] = mouth_curve(phonemes, start + times)
    spoken[:, _SMILE] += mood
    opening = (spoken[:, MOUTH_COLUMNS[:1]] - _OPENING_MEAN) / _OPENING_STD * _BROW_STD
    spoken[:, _BROWS] = coupling * opening + np.sqrt(1 - coupling**2) * spoken[:, _BROWS]
    spoken = np.clip(spoken, MOTION_RANGES[:, 0], MOTION_RANGES[:, 1])
    return SpokenMotion(spoken.astype(np.float32), sound, start, utterance)


def _talk(
    rng: np.random.Generator, corpus: SpeechCorpus, split: Split, seconds: float
) -> tuple[int, FloatArray, list[Phoneme]]:
    """The first utterance's number; the sound of as many as last that long; their phonemes on its clock."""
    candidates = corpus.of_split(split)
    numbers: list[int] = []
    sounds: list[FloatArray] = []
    phonemes: list[Phoneme] = []
    length = 0
    while not numbers or length < round(seconds * SAMPLE_RATE):
        if numbers:
            pause = round(rng.uniform(*_PAUSE) * SAMPLE_RATE)
            phonemes.append(Phoneme(length / SAMPLE_RATE, (length + pause) / SAMPLE_RATE, "_:"))
            sounds.append(np.zeros(pause, np.float32))
            length += pause
        number = candidates[rng.integers(len(candidates))]
        shift = length / SAMPLE_RATE
        for one in corpus.utterances[number].phonemes:
            phonemes.append(Phoneme(one.start + shift, one.end + shift, one.name))
        numbers.append(number)
        sounds.append(corpus.sound(number))
        length += len(sounds[-1])
    return numbers[0], np.concatenate(sounds), phonemes
