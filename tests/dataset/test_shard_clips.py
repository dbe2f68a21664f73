"""The loader: the same frames in every version of a clip, the same item wherever it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_shards import encode, faces_json, puppet_sample, write_puppet_shards, write_samples

from megactor_core.dataset.parts import pack_masks
from megactor_core.dataset.shards import open_shard
from megactor_core.errors import InputError
from megactor_core.seeds import Split
from megactor_core.training.config.data import ShardClipsConfig
from megactor_core.training.config.tasks import PuppetClipsConfig
from megactor_core.training.data.loader import batches
from megactor_core.training.data.puppets import PuppetClips
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.data.shards import ShardClips

NUMBERED, FRAMES = 96, 40
WANTED = SampleFormat(size=64, latent_size=8, image_encoder_size=32)


def clips_of(folder: Path, split: Split = "train", seed: int = 0, **changes: object) -> ShardClips:
    fields = {"size": 64, "references": 2, "frames": 6, "minimum_face_ratio": 0.05, "held_out": 0.25}
    config = ShardClipsConfig.model_validate({"shards": folder, **fields, **changes})
    return ShardClips(config, seed, WANTED, split)


def numbered_sample(dark: tuple[int, ...] = ()) -> dict[str, bytes]:
    """Frames whose grey tells their number, in the clip, in its stylised and (mirrored) swapped versions."""
    levels = [20 + 5 * number for number in range(FRAMES)]
    versions = {"mp4": levels, "mp4_styled": levels, "swapped.mp4": [255 - level for level in levels]}
    sample = {
        part: encode([np.full((NUMBERED, NUMBERED, 3), level, np.uint8) for level in values])
        for part, values in versions.items()
    }
    faces = json.loads(faces_json(np.tile([20, 16, 76, 80], (FRAMES, 1))))
    for number in dark:
        faces["luma"][number] = 2.0
    return sample | {"faces.json": json.dumps(faces).encode(), "json": b'{"identity": "numbers"}'}


def number(image: torch.Tensor) -> int:
    middle = image[..., 24:40, 24:40].float().mean()
    return round((float(middle) - 20) / 5)


@pytest.fixture(scope="module")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_puppet_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbered")
    write_samples(folder / "00000.tar", {"a": numbered_sample()})
    return folder


def test_items_have_the_shapes_of_puppet_clips(puppets: Path) -> None:
    batch = dict(clips_of(puppets, swap_rate=0.5, warp_rate=0.5)[1])
    assert batch.pop("broken") == 0
    config = PuppetClipsConfig(size=64, references=2, frames=6)
    other = dict(PuppetClips(config, 0, "train", WANTED)[0])
    for truth in ("motion", "reference_points", "target_points"):  # known of what is rendered alone
        del other[truth]
    shapes = {name: (value.shape, value.dtype) for name, value in batch.items()}
    assert shapes == {name: (value.shape, value.dtype) for name, value in other.items()}


@pytest.mark.parametrize(("swap_rate", "styled_share"), [(0, 0), (1, 1), (1, 0)])
@pytest.mark.parametrize("stride", [1, 3])
def test_driver_and_target_are_the_same_frames(
    numbered: Path, swap_rate: float, styled_share: float, stride: int
) -> None:
    clips = clips_of(
        numbered, swap_rate=swap_rate, styled_share=styled_share, stride=stride, references=1, held_out=0
    )
    swapped = swap_rate == 1 and styled_share == 0
    begins = set()
    for index in range(12):
        batch = clips[index]
        targets = [number(frame) for frame in batch["targets"][0]]
        assert targets == list(range(targets[0], targets[0] + 6 * stride, stride))
        driving = 255 - batch["driving"][0].float() if swapped else batch["driving"][0]
        assert [number(frame) for frame in driving] == targets
        begins.add(targets[0])
    assert len(begins) > 4


def test_swap_rate_and_styled_share_are_kept_to(numbered: Path) -> None:
    clips = clips_of(numbered, swap_rate=0.5, styled_share=0.5, references=60, frames=1, held_out=0)
    batch = clips[0]
    middles = batch["driving"][:, 0, 32, 32].float()
    swapped = (middles - batch["targets"][:, 0, 0, 32, 32].float()).abs() > 3
    assert 8 <= swapped.sum() <= 23  # a quarter of 60


def test_dark_frames_are_left_out_of_every_version(tmp_path: Path) -> None:
    dark = (4, 5, 6, 20, 21)
    write_samples(tmp_path / "00000.tar", {"a": numbered_sample(dark)})
    clips = clips_of(tmp_path, swap_rate=1, styled_share=1, stride=1, references=8, frames=12)
    batch = clips[0]
    for targets, driving, reference in zip(
        batch["targets"], batch["driving"], batch["references"], strict=True
    ):
        numbers = [number(frame) for frame in targets]
        assert numbers == [number(frame) for frame in driving]
        assert not {*numbers, number(reference)} & set(dark)


def test_an_item_depends_on_seed_and_index_alone(puppets: Path) -> None:
    changes = {"swap_rate": 0.5, "warp_rate": 0.5}
    clips = clips_of(puppets, **changes)
    first = [clips[index] for index in range(3, 7)]
    for workers in (0, 2):
        loaded = list(batches(clips_of(puppets, **changes), 3, 7, workers, pin=False))
        for one, other in zip(first, loaded, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)
    for other in (clips_of(puppets, seed=1, **changes)[3], clips[4]):
        assert not torch.equal(first[0]["targets"], other["targets"])


def test_nobody_is_in_both_splits(puppets: Path) -> None:
    parts = [{clip.key for clip in clips_of(puppets, split).clips} for split in ("train", "held-out")]
    assert [len(part) for part in parts] == [3, 1]
    assert not parts[0] & parts[1]


def test_a_single_person_is_in_both_splits(numbered: Path) -> None:
    assert len(clips_of(numbered, "held-out").clips) == len(clips_of(numbered).clips) == 1


def test_a_warped_driver_is_stretched_alike_in_all_frames(numbered: Path) -> None:
    plain, warped = (clips_of(numbered, warp_rate=rate, references=8, swap_rate=0)[0] for rate in (0.0, 1.0))
    assert torch.equal(plain["targets"], warped["targets"])
    covered = [(batch["driving"] > 10).float().mean(dim=(2, 3)) for batch in (plain, warped)]
    assert covered[0].std() < 1e-3
    assert covered[1].std(dim=0).min() > 0.01 and covered[1].std(dim=1).max() < 0.01


def test_references_come_from_frames_with_a_mask(tmp_path: Path) -> None:
    masks = np.zeros((2, 24, 24), np.float32)
    masks[:, :, 12:] = 1
    sample = numbered_sample() | {"background.png": pack_masks([3, 33], masks)}
    write_samples(tmp_path / "00000.tar", {"a": sample})
    batch = clips_of(tmp_path, references=12)[0]
    assert {number(picture) for picture in batch["references"]} == {3, 33}
    mask = batch["background_masks"][0, 0]
    assert mask[:, :3].all() and not mask[:, 5:].any()


def test_broken_samples_are_counted_and_others_drawn(tmp_path: Path) -> None:
    good = puppet_sample(0)
    short = {"mp4": encode([np.zeros((64, 64, 3), np.uint8)] * 4), "faces.json": faces_json(np.ones((4, 4)))}
    samples = {
        "good": good,
        "no faces": {"mp4": good["mp4"]},
        "no video": good | {"mp4": b"not a video"},
        "too short": short,
        "other faces": good | {"faces.json": faces_json(np.tile([20, 20, 70, 70], (30, 1)))},
        "bad faces": good | {"faces.json": b"{"},
        "lying faces": good | {"faces.json": b'{"boxes": [[1, 2, 3, NaN]], "luma": [9, 9]}'},
        "odd swap": good | {"swapped.mp4": short["mp4"]},
    }
    samples = {name: sample | {"json": good["json"]} for name, sample in samples.items()}
    write_samples(tmp_path / "00000.tar", samples)
    batch = clips_of(tmp_path, references=20, swap_rate=1)[0]
    assert batch["targets"].shape[0] == 20
    assert batch["broken"] > 40
    again = clips_of(tmp_path, references=20, swap_rate=1)[0]
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_a_cut_off_shard_loses_its_last_sample_only(puppets: Path, tmp_path: Path) -> None:
    whole = puppets / "00000.tar"
    last = open_shard(whole).entries[-1]
    (tmp_path / "00000.tar").write_bytes(whole.read_bytes()[: last.members["mp4"][0] + 50])
    with pytest.warns(UserWarning, match=r"00000\.tar is no tar file, or is cut off after 1 samples"):
        clips = clips_of(tmp_path)
    assert len(clips.clips) == 1
    assert clips[0]["broken"] == 0


def test_data_without_a_usable_clip_say_what_is_wrong(tmp_path: Path) -> None:
    write_samples(
        tmp_path / "00000.tar", {"a": {"mp4": b"not a video", "faces.json": faces_json(np.ones((30, 4)))}}
    )
    with pytest.raises(InputError, match=r"100 draws.*a in .*00000\.tar: the clip cannot be decoded"):
        clips_of(tmp_path)[0]
    write_samples(tmp_path / "00000.tar", {"a": {"json": b"{}"}})
    with pytest.raises(InputError, match=r"no shard holds a clip"):
        clips_of(tmp_path)


def test_faces_below_the_threshold_are_not_drawn(puppets: Path) -> None:
    with pytest.raises(InputError, match="the face is too small"):
        clips_of(puppets, minimum_face_ratio=0.9)[0]


def test_unknown_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="swap_rates"):
        clips_of(tmp_path, swap_rates=1)
