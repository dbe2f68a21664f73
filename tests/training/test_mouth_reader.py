"""The reader of mouths is trained on stored speech and read back from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.hearing.mouth_reader import load_mouth_reader
from megactor_core.models.encoder_config import ConvAudioEncoderConfig
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.mouth import mouth_curve
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.data.speech import SpeechWindows, change_spectrogram
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task

SPEECH = Path(__file__).resolve().parents[1] / "data" / "speech.npz"
TASK = {
    "name": "mouth_reader",
    "speech": str(SPEECH),
    "audio_encoder": {"kind": "conv", "width": 16, "blocks": 2, "standardised": True},
    "batch_size": 4,
    "seconds": 1.0,
    "validation_utterances": 2,
}


def config(steps: int, **task) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "seed": 1,
            "steps": steps,
            "num_workers": 0,
            "checkpoint_interval": 3,
            "validation_interval": 100,
            "log_interval": 5,
            "ema_decay": 0.9,
            "optimizer": {"learning_rate": 3e-3},
            "task": {**TASK, **task},
        }
    )


def train(settings: TrainingConfig, folder: Path) -> Trainer:
    trainer = Trainer(settings, build_task(settings, folder), folder, ProcessGroup())
    assert trainer.run()
    return trainer


def last_validation(folder: Path) -> dict[str, float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line for line in lines if "validation_r_open" in line][-1]


def test_a_reader_learns_from_speech_and_reads_the_same_from_its_folder(tmp_path):
    trainer = train(config(60), tmp_path / "run")
    assert last_validation(tmp_path / "run")["validation_r_open"] > 0.3
    reader = load_mouth_reader(tmp_path / "run" / "model")
    corpus = SpeechCorpus.read(SPEECH)
    number = corpus.of_split("held-out")[0]
    times = np.arange(0, corpus.utterances[number].duration - 0.1, 0.04)
    read = reader.read(corpus.sound(number), times)
    task = trainer.task
    with trainer.state.ema.applied():
        before = type(reader)(task.encoder, task.head).read(corpus.sound(number), times)
    assert read.shape == (len(times), 3) and read == pytest.approx(before, abs=0.01)
    features = reader.encoder.scale
    assert features.deviation.shape == (1, 16) and not torch.equal(features.mean, torch.zeros(1, 16))


def test_a_run_that_was_stopped_ends_with_the_same_reader(tmp_path):
    whole = train(config(6), tmp_path / "whole")
    first = config(6)
    stopped = Trainer(first, build_task(first, tmp_path / "run"), tmp_path / "run", ProcessGroup())
    for checkpoint in (tmp_path / "whole" / "checkpoints").glob("*3"):
        (tmp_path / "run" / "checkpoints").mkdir(parents=True)
        checkpoint.rename(tmp_path / "run" / "checkpoints" / checkpoint.name)
    stopped = train(first, tmp_path / "run")
    for name, parameter in whole.state.parameters.items():
        assert torch.equal(parameter, stopped.state.parameters[name])


def test_a_stretch_of_speech_comes_with_the_mouth_of_its_own_moments():
    settings = config(
        1, augmentation=dict.fromkeys(("polarity", "noise", "gain", "band", "pitch", "reverb"), 0)
    )
    corpus = SpeechCorpus.read(SPEECH)
    batch = SpeechWindows(settings.task, corpus, seed=2)[5]
    assert batch["mel"].shape == (1, 80, 100) and batch["mouth"].shape == (1, 50, 3)
    again = SpeechWindows(settings.task, corpus, seed=2)[5]
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    # One training utterance has these mouths, at one place.
    opening = batch["mouth"][0, :, 0].numpy()
    best = min(
        np.abs(
            mouth_curve(corpus.utterances[number].phonemes, start + np.arange(50) / 50)[:, 0] - opening
        ).max()
        for number in corpus.of_split("train")
        for start in np.arange(-0.3, corpus.utterances[number].duration, 0.005)
    )
    assert best < 0.06


def test_voices_of_larger_heads_have_lower_formants_in_the_spectrogram():
    mel = torch.zeros(80, 10)
    mel[40] = 1

    class Largest:
        uniform = staticmethod(lambda low, high: high if low > 0 else 0.0)
        integers = staticmethod(lambda *_: 0)

    higher = change_spectrogram(mel, 0.12, 0, Largest())
    assert higher[:, 0].argmax() > 40
    assert torch.equal(change_spectrogram(mel, 0.0, 0, np.random.default_rng(1))[40] > 0.5, mel[40] > 0.5)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"speech": "nowhere.npz"}, "nowhere.npz: cannot be read"),
        (
            {"audio_encoder": {"kind": "conv", "window_positions": True}},
            "window_positions: are nothing that a mouth is read by",
        ),
    ],
)
def test_what_cannot_be_trained_is_told_before(task, message, tmp_path):
    with pytest.raises(InputError, match=message):
        build_task(config(1, **task), tmp_path)


def test_a_folder_without_a_reader_is_told(tmp_path):
    with pytest.raises(InputError, match=r"audio_encoder\.json: cannot be read"):
        load_mouth_reader(tmp_path)
    (tmp_path / "audio_encoder.json").write_text('{"kind": "conv", "width": "wide"}')
    with pytest.raises(InputError, match="is not the configuration of an audio encoder"):
        load_mouth_reader(tmp_path)
    assert ConvAudioEncoderConfig().states == 1
