"""SyncNet: exact distances, files of weights, and a clip through the whole network."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_shards import faces_json, write_samples
from safetensors.torch import save_file

from megactor_core.dataset.clip_file import encode_clip
from megactor_core.dataset.settings import Rejected, SyncSettings
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.dataset.steps import sync, sync_landmarks
from megactor_core.dataset.steps.registry import check_step, open_worker
from megactor_core.dataset.steps.sync import face_squares
from megactor_core.errors import InputError
from megactor_core.hearing.lip_sync import LipSync
from megactor_core.hearing.syncnet import SyncOffset, load_syncnet, mfcc, offset_of
from megactor_core.media.samples import Samples
from megactor_core.models.syncnet import SyncNet


@pytest.mark.parametrize("late", [-15, -2, -1, 0, 1, 7, 15])
def test_the_offset_is_that_of_the_smallest_distance(late: int) -> None:
    numbers = torch.arange(60)
    heard = torch.nn.functional.one_hot(numbers, 100).float()
    seen = torch.nn.functional.one_hot(numbers - late + 20, 100).float()
    found = offset_of(seen, torch.nn.functional.one_hot(numbers + 20, 100).float())
    assert found is not None
    assert found.offset == late
    # Unlike vectors are the square root of 2 apart, like ones not at all.
    assert found.confidence == pytest.approx(2**0.5)
    nothing = offset_of(seen, heard[:19])
    assert nothing is None


def test_the_confidence_is_the_median_minus_the_least_of_the_mean_distances() -> None:
    heard = torch.zeros(40, 1)
    seen = torch.arange(40.0)[:, None]
    found = offset_of(seen, heard)
    # The mean over i of |seen| is that of its 40 - |offset| values.
    means = [np.arange(max(o, 0), 40 + min(o, 0)).mean() for o in range(-15, 16)]
    assert found is not None and found.confidence == pytest.approx(np.median(means) - min(means))


def test_coefficients_are_those_of_a_tone() -> None:
    time = np.arange(8000) / 16000
    low, high = (0.25 * np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (300, 3000))
    for tone in (low, high):
        found = mfcc(tone)
        assert found.shape == (49, 13) and np.isfinite(found).all()
        # The energy of a sine after the emphasis, in 16-bit samples, 400 of them.
        hertz = 300 if tone is low else 3000
        gain = abs(1 - 0.97 * np.exp(-2j * np.pi * hertz / 16000))
        energy = 400 * (0.25 * 32768 * gain) ** 2 / 2 / 2
        assert found[5, 0] == pytest.approx(np.log(energy), abs=0.1)
    assert mfcc(low)[5, 1] > mfcc(high)[5, 1] + 10  # the first cosine falls with the frequency
    assert mfcc(np.zeros(16000, np.float32)).shape == (99, 13)


def test_squares_hold_the_face_in_their_middle_and_do_not_tremble() -> None:
    boxes = np.tile([100.0, 100.0, 160.0, 180.0], (40, 1))
    squares = face_squares(boxes)
    assert (squares == [50, 68, 210, 228]).all()
    trembling = boxes.copy()
    trembling[10] += 30
    assert (face_squares(trembling) == squares).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in SyncNet().state_dict().items()}, path)
    return path


def test_files_of_either_kind_are_read_whatever_their_layers_are_counted(
    weights: Path, tmp_path: Path
) -> None:
    network = load_syncnet(weights)
    state = {
        # An activation more before every layer.
        f"{part}.{2 * int(number)}.{kind}": tensor
        for name, tensor in network.state_dict().items()
        for part, number, kind in [name.split(".")]
    }
    torch.save(state, tmp_path / "syncnet_v2.model")
    other = load_syncnet(tmp_path / "syncnet_v2.model")
    assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in network.state_dict().items())
    del state["netfclip.0.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match="does not hold the tensors of SyncNet's second version"):
        check_step(SyncSettings(syncnet=tmp_path / "part.safetensors"))
    with pytest.raises(InputError, match="there is no such file"):
        check_step(SyncSettings(syncnet=tmp_path / "none.pth"))


def clip_of(folder: Path, frames: int, sound: bool = True, landmarks: bool = False) -> Entry:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (48, 48, 3), dtype=np.uint8) for _ in range(frames)]
    samples = Samples(rng.normal(0, 0.1, (1, frames * 640)).astype(np.float32), 16000) if sound else None
    clip = encode_clip(images, (48, 48), Fraction(25), samples)
    known = np.full((frames, 68, 2), 24.0) if landmarks else None
    faces = faces_json(np.tile([12, 12, 36, 36], (frames, 1)), known)
    faces = json.dumps(json.loads(faces) | {"size": [48, 48]}).encode()
    path = write_samples(folder / "00000.tar", {"clip": {"mp4": clip, "faces.json": faces}})
    return open_shard(path).entries[0]


def test_a_clip_is_judged_by_confidence_and_offset(weights: Path, tmp_path: Path) -> None:
    clip = clip_of(tmp_path, 25)
    settings = SyncSettings(syncnet=weights, device="cpu", minimum_confidence=0, maximum_offset=10)
    try:
        found = json.loads(open_worker(settings, open_shard(clip.shard))(clip).sample["sync.json"])
    except Rejected as error:  # random weights put the offset anywhere
        assert error.reason == "out of sync"
    else:
        assert found["by"] == "syncnet" and abs(found["offset"]) <= 10 and found["confidence"] > 0


@pytest.mark.parametrize(
    ("confidence", "offset", "reason"),
    [
        (5.5, 0, "sync is doubtful"),
        (5.501, 0, None),
        (6.0, 1, None),
        (6.0, -1, None),
        (6.0, 2, "out of sync"),
        (6.0, -2, "out of sync"),
    ],
)
def test_a_clip_must_exceed_the_papers_confidence_and_be_a_frame_off_at_most(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    confidence: float,
    offset: int,
    reason: str | None,
) -> None:
    monkeypatch.setattr(sync, "measure_sync", lambda *_: SyncOffset(confidence, offset))
    clip = clip_of(tmp_path, 8)
    judge = open_worker(SyncSettings(syncnet=weights, device="cpu"), open_shard(clip.shard))
    if reason is None:
        found = json.loads(judge(clip).sample["sync.json"])
        assert found == {"by": "syncnet", "confidence": confidence, "offset": offset}
    else:
        with pytest.raises(Rejected, match=reason):
            judge(clip)


@pytest.mark.parametrize(
    ("r", "lag", "reason"),
    [
        (0.499, 0, "sync is doubtful"),
        (0.5, 0, None),
        (float("nan"), 0, "doubtful"),
        (0.9, 1, None),
        (0.9, -2, "out"),
    ],
)
def test_by_landmarks_it_must_reach_the_correlation_and_be_a_frame_off_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, r: float, lag: int, reason: str | None
) -> None:
    monkeypatch.setattr(sync_landmarks, "lip_sync", lambda *_: LipSync(r, lag, r, 0.5, 8))
    clip = clip_of(tmp_path, 8, landmarks=True)
    judge = open_worker(SyncSettings(device="cpu"), open_shard(clip.shard))
    if reason is None:
        assert json.loads(judge(clip).sample["sync.json"]) == {"by": "landmarks", "r": r, "lag": lag}
    else:
        with pytest.raises(Rejected, match=reason):
            judge(clip)


@pytest.mark.parametrize(
    ("frames", "sound", "reason"), [(4, True, "too short for sync"), (6, False, "no sound")]
)
def test_clips_of_which_nothing_can_be_told_are_left_out(
    weights: Path, tmp_path: Path, frames: int, sound: bool, reason: str
) -> None:
    clip = clip_of(tmp_path, frames, sound)
    with pytest.raises(Rejected, match=reason):
        open_worker(SyncSettings(syncnet=weights, device="cpu"), open_shard(clip.shard))(clip)
