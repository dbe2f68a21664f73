"""The loader's sound, masks and weights: every frame hears its own moment, and the face is where it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_shards import faces_json, puppet_sample, write_samples

from megactor_core.dataset.clip_file import encode_clip
from megactor_core.dataset.sound import clip_sound
from megactor_core.errors import InputError
from megactor_core.media.samples import Samples
from megactor_core.training.config.data import ShardClipsConfig
from megactor_core.training.config.modalities import ModalitiesConfig, ModalityDraw
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.data.shards import ShardClips
from megactor_core.vision.modes.eyes import EYES_MOUTH

SIZE, FRAMES, BEEPS = 96, 40, (8, 16, 24, 32)
HEARING = SampleFormat(size=64, latent_size=8, hears=True)
BOX = np.tile([20, 16, 76, 80], (FRAMES, 1))


def beeping_sample(
    frame_rate: int = 25, sound: bool = True, dark: Sequence[int] = (), identity: str = "one"
) -> dict[str, bytes]:
    """Frames whose grey tells their number; a beep as long as each frame of ``BEEPS``."""
    images = [np.full((SIZE, SIZE, 3), 20 + 5 * number, np.uint8) for number in range(FRAMES)]
    frames = np.floor(np.arange(FRAMES * 48000 // frame_rate) * frame_rate / 48000)
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(frames)) / 48000) * np.isin(frames, BEEPS)
    samples = Samples(tone[None].astype(np.float32), 48000) if sound else None
    faces = json.loads(faces_json(BOX))
    for number in dark:
        faces["luma"][number] = 2.0
    facts = {"identity": identity, "frame_rate": frame_rate}
    return {
        "mp4": encode_clip(images, (SIZE, SIZE), Fraction(frame_rate), samples),
        "faces.json": json.dumps(faces).encode(),
        "json": json.dumps(facts).encode(),
    }


def clips_of(
    folder: Path, wanted: SampleFormat = HEARING, feature_weight: float = 1.0, **changes: object
) -> ShardClips:
    fields = {"size": 64, "references": 2, "frames": 4, "minimum_face_ratio": 0.05, "held_out": 0}
    config = ShardClipsConfig.model_validate({"shards": folder, **fields, **changes})
    return ShardClips(config, 0, wanted, "train", feature_weight)


def number(image: torch.Tensor) -> int:
    return round((float(image[..., 24:40, 24:40].float().mean()) - 20) / 5)


@pytest.mark.parametrize("stride", [1, 4])
def test_every_frame_hears_its_own_moment(tmp_path: Path, stride: int) -> None:
    sample = beeping_sample()
    write_samples(tmp_path / "00000.tar", {"a": sample})
    whole = clip_sound(sample["mp4"])
    assert whole is not None
    span = 3 * stride + 1
    batch = clips_of(tmp_path, stride=stride, references=6)[0]
    assert batch["sound"].shape == (6, 16000 * 2 + 640 * span) and batch["sound"].dtype == torch.float32
    for targets, sound, rows in zip(batch["targets"], batch["sound"], batch["sound_rows"], strict=True):
        numbers = [number(frame) for frame in targets]
        begin = numbers[0] * 640 - 16000
        heard = sound.numpy()[max(-begin, 0) :][: len(whole) - max(begin, 0)]
        np.testing.assert_array_equal(heard, whole[max(begin, 0) :][: len(heard)])
        for one, moment in zip(numbers, rows.tolist(), strict=True):
            assert moment == list(range(moment[4] - 4, moment[4] + 6))
            assert moment[4] == 50 + 2 * (one - numbers[0])
            now = sound[moment[4] * 320 + 100 : moment[4] * 320 + 540]  # the middle of the frame
            assert (now.abs().max() > 0.2) == (one in BEEPS)


def test_sounds_of_clips_of_any_rate_and_of_none_have_one_length(tmp_path: Path) -> None:
    samples = {"slow": beeping_sample(20), "fast": beeping_sample(30), "mute": beeping_sample(sound=False)}
    write_samples(tmp_path / "00000.tar", samples)
    batch = clips_of(tmp_path, references=8)[0]
    assert batch["sound"].shape == (8, 16000 * 2 + 7 * 800) and batch["broken"] == 0
    silent = (batch["sound"] == 0).all(dim=1)
    assert 0 < silent.sum() < 8


def test_shards_without_any_sound_are_heard_as_silence_of_the_clips_length(tmp_path: Path) -> None:
    write_samples(tmp_path / "00000.tar", {"a": beeping_sample(sound=False)})
    batch = clips_of(tmp_path)[0]
    assert batch["sound"].shape == (2, 4 * 640) and not batch["sound"].any()
    assert batch["sound_rows"][0, 3, 4] == 6


def test_windows_from_which_dark_frames_are_taken_are_not_heard(tmp_path: Path) -> None:
    write_samples(tmp_path / "00000.tar", {"a": beeping_sample(dark=[10, 22])})
    batch = clips_of(tmp_path, references=12, stride=1)[0]
    assert batch["broken"] > 0
    for targets in batch["targets"]:
        numbers = [number(frame) for frame in targets]
        assert numbers == list(range(numbers[0], numbers[0] + 4)) and not {10, 22} & set(numbers)


def modalities(**draw: object) -> SampleFormat:
    table = ModalitiesConfig(draws=(ModalityDraw.model_validate({"share": 1, **draw}),))
    return SampleFormat(size=64, latent_size=8, mode=EYES_MOUTH, hears=True, modalities=table)


def test_a_recipe_with_speech_needs_sound_and_one_with_masks_landmarks(tmp_path: Path) -> None:
    write_samples(tmp_path / "00000.tar", {"a": beeping_sample(), "b": beeping_sample(sound=False)})
    with pytest.raises(InputError, match=r"00000\.tar: 1 of 2 clips have no sound .*dataset pack"):
        clips_of(tmp_path, modalities(sound="speech"))
    with pytest.raises(InputError, match=r"00000\.tar: clip . has no landmarks.*--landmarker"):
        clips_of(tmp_path, modalities(masked=["mouth"]))


@pytest.fixture(scope="module")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("puppets")
    write_samples(folder / "00000.tar", {"a": puppet_sample(0, frames=8, swapped=False)})
    return folder


def test_masks_lie_on_the_targets_face(puppets: Path) -> None:
    batch = clips_of(puppets, modalities(masked=["mouth"]), stride=1)[0]
    assert batch["hidden"].any() and not batch["hidden"].all()
    masked = batch["weights"][0, 0] == 0
    rows, columns = masked.nonzero(as_tuple=True)
    assert rows.float().mean() > 3.5 and 2 < columns.float().mean() < 6  # in the middle, below it
    open_weights = clips_of(puppets, modalities(), stride=1)[0]["weights"]
    assert (open_weights == 1).all()


def test_errors_around_eyes_and_mouth_weigh_more_on_shards_too(puppets: Path, tmp_path: Path) -> None:
    wanted = SampleFormat(size=64, latent_size=16)
    exact = clips_of(puppets, wanted, 5.0, stride=1)[0]["weights"]
    assert set(exact.unique().tolist()) == {1, 5}
    assert 0.02 < (exact == 5).float().mean() < 0.5
    sample = puppet_sample(0, frames=8, swapped=False)
    faces = json.loads(sample["faces.json"])
    landmarks = np.array(faces.pop("landmarks"))
    groups = (range(36, 42), range(42, 48), (30,), (48,), (54,))
    faces["points"] = np.stack([landmarks[:, list(group)].mean(axis=1) for group in groups], axis=1).tolist()
    write_samples(tmp_path / "00000.tar", {"a": sample | {"faces.json": json.dumps(faces).encode()}})
    coarse = clips_of(tmp_path, wanted, 5.0, stride=1)[0]["weights"]
    both = ((exact == 5) & (coarse == 5)).sum() / ((exact == 5) | (coarse == 5)).sum()
    assert both > 0.5
