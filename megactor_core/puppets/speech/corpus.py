"""A file of synthetic speech with the time of every phoneme."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...files import new_file
from ...media.waveform import SAMPLE_RATE
from ...seeds import Split
from .mouth import Phoneme

VERSION = 1
"""Of the file's layout; a file of another one is made again."""

_REMEDY = "Make it with: dataset speech"


@dataclass(frozen=True)
class Utterance:
    """Words that were said.

    Attributes:
        text: the words.
        voice: espeak-ng's name of the voice.
        split: "train" or "held-out".
        duration: seconds.
        phonemes: from 0 to ``duration``, without gaps and with no two pauses in a row.
    """

    text: str
    voice: str
    split: Split
    duration: float
    phonemes: tuple[Phoneme, ...]


class SpeechCorpus:
    """Utterances with their sound, 16 kHz mono; read-only.

    Args:
        path: the file.
        library: version and hash of the speech engine that made it.
        utterances: see ``Utterance``.
        samples: int16, all sounds one after the other.

    It is pickled as its path: worker processes read the file themselves.
    """

    def __init__(
        self, path: Path, library: str, utterances: Sequence[Utterance], samples: NDArray[np.int16]
    ) -> None:
        self.path, self.library, self.utterances = path, library, tuple(utterances)
        lengths = [round(utterance.duration * SAMPLE_RATE) for utterance in utterances]
        self._samples, self._offsets = samples, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))

    @classmethod
    def read(cls, path: Path) -> SpeechCorpus:
        """Read a file of ``dataset speech``.

        Raises:
            InputError: it is missing, is no speech corpus, or one of another version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                parts = {name: file[name] for name in file.files}
        except OSError as error:
            reason = (error.strerror or "it is not a speech corpus").lower()
            raise InputError(path, f"cannot be read ({reason})", _REMEDY) from None
        except (ValueError, EOFError, AttributeError):
            # In this order: pickled or other data, an empty file, a lone array.
            raise InputError(path, "is not a speech corpus", _REMEDY) from None
        except (zipfile.BadZipFile, zlib.error):
            raise InputError(path, "is damaged", _REMEDY) from None
        if "speech_version" not in parts:
            raise InputError(path, "is not a speech corpus", _REMEDY)
        if parts["speech_version"] != VERSION:
            raise InputError(path, "is a speech corpus of another version", _REMEDY)
        try:
            return cls(path, str(parts["library"]), _utterances(parts), parts["samples"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise InputError(path, "is damaged", _REMEDY) from None

    def __reduce__(self) -> tuple[Callable[[Path], SpeechCorpus], tuple[Path]]:
        return SpeechCorpus.read, (self.path,)

    def __len__(self) -> int:
        return len(self.utterances)

    def sound(self, index: int) -> NDArray[np.float32]:
        """Sound of an utterance, float32 (samples,), 16 kHz, -1..1."""
        part = self._samples[self._offsets[index] : self._offsets[index + 1]]
        return part.astype(np.float32) / np.float32(32768)

    def of_split(self, split: Split) -> list[int]:
        """Numbers of a split's utterances, in order.

        Raises:
            InputError: there are none.
        """
        numbers = [number for number, one in enumerate(self.utterances) if one.split == split]
        if not numbers:
            raise InputError(self.path, f"holds no {split} utterances", "Make a larger one: dataset speech")
        return numbers


def write_corpus(
    path: Path,
    library: str,
    utterances: Sequence[Utterance],
    sounds: Sequence[NDArray[np.int16]],
    *,
    overwrite: bool = False,
) -> None:
    """Write a file that ``SpeechCorpus.read`` reads: arrays of NumPy in a zip file, nothing pickled.

    ``samples`` int16, all sounds in order; ``offsets`` int64, where each begins and the last ends;
    ``phoneme_starts`` float64, seconds, and ``phoneme_ids`` int32, numbers in ``phoneme_names``;
    ``phoneme_offsets`` int64; ``texts``, ``voices``, ``held_out``; ``library``, ``speech_version``.

    Raises:
        InputError: it cannot be written, see ``files.new_file``.
    """
    phonemes = [phoneme for utterance in utterances for phoneme in utterance.phonemes]
    names, ids = np.unique([phoneme.name for phoneme in phonemes], return_inverse=True)
    counts = [len(utterance.phonemes) for utterance in utterances]
    with new_file(path, overwrite) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            speech_version=np.int64(VERSION),
            library=np.str_(library),
            samples=np.concatenate(sounds),
            offsets=np.cumsum([0, *map(len, sounds)], dtype=np.int64),
            phoneme_starts=np.array([phoneme.start for phoneme in phonemes]),
            phoneme_ids=ids.astype(np.int32),
            phoneme_names=names,
            phoneme_offsets=np.cumsum([0, *counts], dtype=np.int64),
            texts=np.array([utterance.text for utterance in utterances]),
            voices=np.array([utterance.voice for utterance in utterances]),
            held_out=np.array([utterance.split == "held-out" for utterance in utterances]),
        )


def _utterances(parts: dict[str, NDArray]) -> list[Utterance]:
    names = parts["phoneme_names"][parts["phoneme_ids"]].tolist()
    starts, bounds = parts["phoneme_starts"].tolist(), parts["phoneme_offsets"].tolist()
    lengths = (np.diff(parts["offsets"]) / SAMPLE_RATE).tolist()
    utterances = []
    for index, duration in enumerate(lengths):
        own = slice(bounds[index], bounds[index + 1])
        ends = [*starts[own][1:], duration]
        phonemes = tuple(map(Phoneme, starts[own], ends, names[own]))
        split: Split = "held-out" if parts["held_out"][index] else "train"
        text, voice = str(parts["texts"][index]), str(parts["voices"][index])
        utterances.append(Utterance(text, voice, split, duration, phonemes))
    return utterances
