"""Speech corpora: the stored one, new ones, and files that are none."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from speech_data import SPEECH

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.engine import Line, SpeechEngine
from megactor_core.puppets.speech.voices import VOICES, draw_line, words
from megactor_core.seeds import clip_generator


@pytest.fixture(scope="module")
def corpus() -> SpeechCorpus:
    return SpeechCorpus.read(SPEECH)


def test_sounds_and_phonemes_of_the_stored_corpus(corpus: SpeechCorpus) -> None:
    assert len(corpus) == 8 and corpus.of_split("train") == [0, 1, 2, 3, 4, 5]
    assert corpus.of_split("held-out") == [6, 7]
    for index, utterance in enumerate(corpus.utterances):
        sound = corpus.sound(index)
        assert sound.dtype == np.float32 and len(sound) == round(utterance.duration * 16_000)
        assert 0.1 < np.abs(sound).max() <= 1
        starts = [phoneme.start for phoneme in utterance.phonemes]
        assert starts[0] == 0 and np.diff(starts).min() > 0 and starts[-1] < utterance.duration
        assert [phoneme.end for phoneme in utterance.phonemes] == [*starts[1:], utterance.duration]
        assert utterance.voice in VOICES[utterance.split]
        assert set(utterance.text.replace(",", "").replace("!", "").split()) <= set(words(utterance.split))


def test_speech_is_loud_in_phonemes_and_silent_in_pauses(corpus: SpeechCorpus) -> None:
    loud, still = [], []
    for index, utterance in enumerate(corpus.utterances):
        sound = corpus.sound(index)
        for phoneme in utterance.phonemes:
            part = sound[round(phoneme.start * 16_000) : round(phoneme.end * 16_000)]
            size = float(np.sqrt(np.mean(part**2)))
            if phoneme.name.startswith("_"):
                still.append(size)
            elif phoneme.name.startswith("'"):
                loud.append(size)
    assert np.median(still) < 0.01 < 0.05 < np.median(loud)


def test_training_and_held_out_have_nothing_in_common() -> None:
    assert len(words("train")) >= 600 and not set(words("train")) & set(words("held-out"))
    assert not set(VOICES["train"]) & set(VOICES["held-out"])
    lines = [draw_line(clip_generator(3, index, "held-out"), "held-out") for index in range(200)]
    assert {line.voice for line in lines} == set(VOICES["held-out"])
    assert {len(line.text.split()) for line in lines} == {4, 5, 6, 7}
    assert 0.35 < np.mean(["," in line.text or "!" in line.text for line in lines]) < 0.65


def test_worker_processes_get_the_path_alone(corpus: SpeechCorpus) -> None:
    pickled = pickle.dumps(corpus)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).sound(3), corpus.sound(3))


def test_files_that_are_no_corpus_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "speech.npz"
    with pytest.raises(InputError, match="cannot be read"):
        SpeechCorpus.read(path)
    for content in (b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a speech corpus"):
            SpeechCorpus.read(path)
    whole = SPEECH.read_bytes()
    for content in (b"PK\x03\x04broken", whole[:200_000], whole[:100_000] + b"\xff" * 99 + whole[100_099:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            SpeechCorpus.read(path)
    np.savez(path, samples=np.zeros(3))
    with pytest.raises(InputError, match="is not a speech corpus"):
        SpeechCorpus.read(path)
    with np.load(SPEECH) as file:
        parts = dict(file)
    np.savez(path, **{**parts, "speech_version": np.int64(99)})
    with pytest.raises(InputError, match="corpus of another version"):
        SpeechCorpus.read(path)
    for name in ("voices", "phoneme_names", "samples"):
        np.savez(path, **{key: value for key, value in parts.items() if key != name})
        with pytest.raises(InputError, match="is damaged"):
            SpeechCorpus.read(path)


def test_a_split_without_utterances_is_told(tmp_path: Path, corpus: SpeechCorpus) -> None:
    training = SpeechCorpus(SPEECH, corpus.library, corpus.utterances[:6], np.zeros(0, np.int16))
    with pytest.raises(InputError, match="no held-out utterances"):
        training.of_split("held-out")


def test_without_the_engine_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    assert main(["dataset", "speech", "--output", str(tmp_path / "speech.npz")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "megactor[speech]" in lines[0]
    assert not list(tmp_path.iterdir())


def test_the_same_line_is_the_same_sound_in_any_order() -> None:
    pytest.importorskip("espeakng_loader")
    lines = [Line("hello bob, my mother", voice, 160, 50, 50) for voice in ("en-us+f3", "en", "en-us+klatt3")]
    with SpeechEngine() as engine:
        first = [engine.speak(line) for line in lines]
    with SpeechEngine() as engine:
        second = [engine.speak(line) for line in reversed(lines)][::-1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one.phonemes == other.phonemes
    with SpeechEngine() as engine, pytest.raises(InputError, match="no voice xx"):
        engine.speak(Line("hello", "xx", 160, 50, 50))


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    paths = [tmp_path / f"{name}.npz" for name in ("first", "second", "longer")]
    for path, count in zip(paths, ("4", "4", "8"), strict=True):
        arguments = ["--count", count, "--held-out", "0.25", "--seed", "5", "--output", str(path)]
        assert main(["dataset", "speech", *arguments]) == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    short, long = SpeechCorpus.read(paths[0]), SpeechCorpus.read(paths[2])
    assert short.utterances[:3] == long.utterances[:3] and short.utterances[3] == long.utterances[6]
    np.testing.assert_array_equal(short.sound(3), long.sound(6))


def test_the_stored_corpus_can_be_made_again(tmp_path: Path, corpus: SpeechCorpus) -> None:
    pytest.importorskip("espeakng_loader")
    arguments = ["--count", "8", "--held-out", "0.25", "--seed", "1", "--output", str(tmp_path / "again.npz")]
    assert main(["dataset", "speech", *arguments]) == 0
    again = SpeechCorpus.read(tmp_path / "again.npz")
    if again.library != corpus.library:
        pytest.skip(f"another version of espeak-ng: {again.library}")
    assert again.utterances == corpus.utterances
    for index in range(8):
        # The resampler's last bit is the processor's.
        np.testing.assert_allclose(again.sound(index), corpus.sound(index), rtol=0, atol=1.5 / 32768)


def test_an_existing_corpus_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "speech.npz"
    path.write_bytes(b"mine")
    assert main(["dataset", "speech", "--output", str(path)]) == 2
    assert path.read_bytes() == b"mine"
