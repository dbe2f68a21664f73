"""Training clips of puppets that speak: the sound of every frame, and what the corpus leaves alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.puppets.motion import sample_motion
from megactor_core.puppets.speaking import speak
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.seeds import SPEECH as PURPOSE
from megactor_core.seeds import clip_generator
from megactor_core.training.config.puppets import PuppetClipsConfig
from megactor_core.training.data.puppets import PuppetClips
from megactor_core.training.data.sample import SampleFormat, sound_around

SPEECH = Path(__file__).resolve().parent.parent / "data" / "speech.npz"
WANTED = SampleFormat(32, 4, hears=True)


def clips(split: str = "train", **fields: object) -> PuppetClips:
    config = PuppetClipsConfig.model_validate({"size": 32, "references": 3, "frames": 3, **fields})
    return PuppetClips(config, 5, split, WANTED)


def test_all_but_mouth_and_sound_is_the_clip_that_does_not_speak() -> None:
    spoken, hummed = clips(speech=SPEECH)[0], clips()[0]
    assert spoken.keys() == hummed.keys()
    for name in ("references", "background_masks"):
        assert torch.equal(spoken[name], hummed[name])
    assert torch.equal(spoken["motion"][..., :12], hummed["motion"][..., :12])
    assert not torch.equal(spoken["motion"][..., 12:], hummed["motion"][..., 12:])
    assert not torch.equal(spoken["targets"], hummed["targets"])


def test_rows_of_far_apart_frames_are_at_their_own_moments() -> None:
    dataset = clips(speech=SPEECH, frame_rate=3.0)
    corpus = SpeechCorpus.read(SPEECH)
    batch = dataset[0]
    for index in range(3):
        motion = sample_motion(clip_generator(5, index), 3, 3.0)
        rng = clip_generator(5, index, "train", PURPOSE)
        rng.random()
        spoken = speak(motion, rng, corpus, "train", 3.0)
        for frame in range(3):
            row = int(batch["sound_rows"][index, frame, 4])
            # The row's 20 ms in the batch's sound are those around the frame's time in the whole utterance.
            heard = batch["sound"][index, row * 320 : row * 320 + 320].numpy()
            whole = int((spoken.start + frame / 3) * 50 + 1e-6)
            np.testing.assert_array_equal(heard, spoken.sound[whole * 320 : whole * 320 + 320])
    rows = batch["sound_rows"]
    assert batch["sound"].shape == (3, 2 * 16_000)
    assert (rows.diff(dim=2) >= 0).all() and rows.max() < 100


def test_a_sound_is_cut_to_one_length_without_moving() -> None:
    sound = np.arange(40_000, dtype=np.float32)
    for start in (0.0, 0.3, 1.2345, 2.4):
        part, moved = sound_around(sound, start, 0.12)
        assert part.shape == (56 * 320,)
        assert part[round(moved * 16_000)] == pytest.approx(round(start * 16_000))
        assert 0 <= moved < 0.53


def test_a_share_of_the_clips_moves_its_mouth_in_silence() -> None:
    batch = clips(speech=SPEECH, speech_share=0.5, references=6)[0]
    silent = (batch["sound"] == 0).all(dim=1)
    assert 0 < silent.sum() < 6
    hummed = clips(references=6)[0]
    assert torch.equal(batch["targets"][silent], hummed["targets"][silent])


def test_items_repeat_in_another_process(tmp_path: Path) -> None:
    dataset = clips("held-out", speech=SPEECH)
    twin = pickle.loads(pickle.dumps(dataset))
    for name, value in dataset[1].items():
        assert torch.equal(value, twin[1][name])


def test_small_motion_leaves_the_mouth_to_the_speech() -> None:
    small, usual = clips(speech=SPEECH, small_motion_share=1.0)[0], clips(speech=SPEECH)[0]
    assert torch.equal(small["motion"][..., 12:], usual["motion"][..., 12:])
    assert not torch.equal(small["motion"][..., 0], usual["motion"][..., 0])


def test_a_corpus_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        clips(speech=tmp_path / "missing.npz")
    with pytest.raises(ValueError, match="need speech"):
        clips(mouth_coupling=0.8)
