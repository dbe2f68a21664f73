"""Stretches of synthetic speech with the mouth that says them, changed at random."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers.audio_utils import hertz_to_mel, mel_to_hertz

from ...hearing.features import ROWS_PER_SECOND, log_mel
from ...media.waveform import SAMPLE_RATE
from ...puppets.speech.corpus import SpeechCorpus
from ...puppets.speech.mouth import mouth_curve
from ...seeds import clip_generator
from ..config.mouth_reader import MouthReaderTaskConfig
from .loader import Batch
from .sound_augmentation import augment

_HIGHEST = 8000.0
"""Hertz, the end of Whisper's mel scale."""

_LOUDER = 0.25
"""Change of a log-mel spectrogram, 10 dB."""

_SILENCE = 0.3
"""Seconds before an utterance, and after it, that a stretch may reach."""


class SpeechWindows(Dataset[Batch]):
    """Item ``i`` is a batch of one stretch of a training utterance: its sound, and the mouth that says it.

    - ``mel`` float32 (1, bands, 2 * rows): log-mel spectrogram
    - ``mouth`` float32 (1, rows, 3): opening, width and smile, 50 times a second

    Args:
        config: length and changes of the stretches.
        corpus: of speech.
        seed: of the data.
    """

    def __init__(self, config: MouthReaderTaskConfig, corpus: SpeechCorpus, seed: int) -> None:
        self.config, self.corpus, self.seed = config, corpus, seed
        self._numbers = corpus.of_split("train")

    def __getitem__(self, index: int) -> Batch:
        config = self.config
        rng, changes = clip_generator(self.seed, index).spawn(2)
        number = self._numbers[int(rng.integers(len(self._numbers)))]
        sound = self.corpus.sound(number)
        rows = round(config.seconds * ROWS_PER_SECOND)
        length = rows * SAMPLE_RATE // ROWS_PER_SECOND
        margin = round(_SILENCE * SAMPLE_RATE)
        padded = np.pad(sound, (margin, margin + length))
        first = int(rng.integers(max(1, len(sound) + 2 * margin - length + 1)))
        heard = augment(padded[first : first + length], config.augmentation, changes)
        times = np.arange(rows) / ROWS_PER_SECOND + (first - margin) / SAMPLE_RATE
        mouth = mouth_curve(self.corpus.utterances[number].phonemes, times)
        mel = log_mel(heard, config.audio_encoder.bands)
        mel = change_spectrogram(mel, config.formant_warp, config.masked_bands, changes)
        return {"mel": mel[None], "mouth": torch.from_numpy(mouth)[None]}


def change_spectrogram(mel: Tensor, warp: float, masked: int, rng: np.random.Generator) -> Tensor:
    """A log-mel spectrogram as of another voice, loudness and loudspeaker.

    Args:
        mel: float32 (bands, columns).
        warp: all frequencies are up to this share higher or lower (vocal tract length perturbation, Jaitly
            and Hinton 2013).
        masked: bands that are taken away at most, in two groups (Park et al. 2019, "SpecAugment").
        rng: source of random numbers.
    """
    bands = len(mel)
    read = _warped(bands, float(rng.uniform(1 - warp, 1 + warp)))
    low = torch.from_numpy(read).long().clamp(max=bands - 2)
    share = (torch.from_numpy(read) - low)[:, None].float()
    mel = (1 - share) * mel[low] + share * mel[low + 1]
    mel = mel + float(rng.uniform(-_LOUDER, _LOUDER))
    quiet = mel.amin()
    for _ in range(2):
        width = int(rng.integers(masked // 2 + 1))
        first = int(rng.integers(bands - width + 1))
        mel[first : first + width] = quiet
    return mel


def _warped(bands: int, factor: float) -> NDArray[np.float64]:
    """Bands, in parts of one, that are read for each band of a voice whose frequencies are times a factor."""
    scale = float(hertz_to_mel(_HIGHEST, "slaney")) / (bands + 1)
    hertz = mel_to_hertz(scale * np.arange(1, bands + 1), "slaney") / factor
    return np.clip(hertz_to_mel(np.minimum(hertz, _HIGHEST), "slaney") / scale - 1, 0, bands - 1)
