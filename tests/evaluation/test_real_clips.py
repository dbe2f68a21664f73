"""Clips of a folder: found, drawn and paired the same way every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_driver, write_portrait

from megactor_core.dataset.clip_list import list_clips
from megactor_core.dataset.shards import open_shard, write_shard
from megactor_core.errors import InputError
from megactor_core.evaluation.clips.files import choose_frames, find_clips, first_picture
from megactor_core.evaluation.clips.plan import cross_pairs, make_plan, self_pairs, usable_clips
from megactor_core.evaluation.clips.request import EvaluationRequest
from megactor_core.sampling.sampler import SamplingSettings


def request(data: Path, **changes: object) -> EvaluationRequest:
    values: dict = {
        "test": "cross",
        "model": "demo",
        "data": data,
        "frames": 3,
        "size": 64,
        "crop": "whole",
        "sampling": SamplingSettings(context_length=8, context_overlap=4),
        "device": "cpu",
        "dtype": "float32",
    }
    return EvaluationRequest(**{**values, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, a broken one, a short one, a note; a shard of two clips of one person and one without."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "more").mkdir()
    write_driver(folder / "b.mp4", 8)
    write_driver(folder / "more" / "a.mp4", 6)
    write_driver(folder / "short.mp4", 2)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    (folder / "notes.txt").write_text("not a clip")
    clip = write_driver(folder.parent / "clip.mp4", 5).read_bytes()
    with write_shard(folder / "shard-000.tar") as shard:
        for key in ("p0", "p1"):
            metadata = json.dumps({"identity": "Ann"}).encode()
            shard.write(key, {"mp4": clip, "swapped.mp4": b"other", "json": metadata})
        shard.write("p2", {"json": b"{}"})
    return folder


def test_videos_and_clips_of_shards_are_found(folder: Path) -> None:
    clips, rejected = find_clips(folder)
    assert [clip.name for clip in clips] == [
        *("b.mp4", "broken.mp4", "more/a.mp4", "shard-000.tar/p0", "shard-000.tar/p1", "short.mp4"),
    ]
    assert [clip.identity for clip in clips][3:5] == ["Ann", "Ann"] and not rejected
    assert clips[3].sha256() == clips[4].sha256() != clips[0].sha256()
    assert first_picture(clips[3]).shape == (64, 64, 3)


def test_what_cannot_be_used_is_told(folder: Path) -> None:
    usable, rejected = usable_clips(find_clips(folder)[0], request(folder))
    assert [clip.name for clip in usable] == ["b.mp4", "more/a.mp4", "shard-000.tar/p0", "shard-000.tar/p1"]
    assert {one.name: one.reason.split(":")[0] for one in rejected} == {
        "broken.mp4": "is not a video that can be read (unknown format, damaged or cut off)",
        "short.mp4": "is too short",
    }


def test_a_stride_needs_longer_clips_and_gives_later_frames(folder: Path) -> None:
    usable, _ = usable_clips(find_clips(folder)[0], request(folder, stride=3))
    assert [clip.name for clip in usable] == ["b.mp4"]
    with usable[0].opened() as source:
        chosen = choose_frames(source, 3, 3)
        expected = [image for index, (_, _, image) in enumerate(source.frames()) if index in (0, 3, 6)]
    assert (chosen.num_frames, chosen.frame_rate) == (3, source.frame_rate / 3)
    for (_, _, image), frame in zip(chosen.frames(), expected, strict=True):
        assert (image == frame).all()


def test_a_clip_without_sound_cannot_speak(folder: Path, tmp_path: Path) -> None:
    write_driver(tmp_path / "loud.mp4", 8, sound=True)
    write_driver(tmp_path / "mute.mp4", 8)
    usable, rejected = usable_clips(find_clips(tmp_path)[0], request(tmp_path, speech=True))
    assert [clip.name for clip in usable] == ["loud.mp4"]
    assert [(one.name, one.reason) for one in rejected] == [("mute.mp4", "has no sound")]


def test_some_clips_are_drawn_by_the_seed(folder: Path) -> None:
    def drawn(seed: int) -> list[str]:
        asked = request(folder, clips=2, sampling=SamplingSettings(seed=seed))
        return [clip.name for clip in usable_clips(find_clips(folder)[0], asked)[0]]

    assert all(len(drawn(seed)) == 2 for seed in range(8))
    assert drawn(1) == drawn(1) and len({tuple(drawn(seed)) for seed in range(8)}) > 1


def test_nobody_drives_their_own_portrait(folder: Path) -> None:
    usable, _ = usable_clips(find_clips(folder)[0], request(folder))
    for seed in range(10):
        pairs = cross_pairs(usable, (), seed)
        assert pairs == cross_pairs(usable, (), seed)
        assert [pair.driver for pair in pairs] == usable
        assert all(pair.driver.identity != pair.portrait.identity for pair in pairs)
    with pytest.raises(InputError, match="nobody else"):
        cross_pairs(usable[2:], (), 0)


def test_portraits_are_drawn_from_a_folder(folder: Path, tmp_path: Path) -> None:
    for name in ("x.png", "y.jpg"):
        write_portrait(tmp_path / name)
    (tmp_path / "z.png").write_bytes(b"broken")
    plan = make_plan(request(folder, portraits=tmp_path))
    assert {pair.portrait.name for pair in plan.pairs} <= {"x.png", "y.jpg"}
    assert [one.name for one in plan.rejected] == ["broken.mp4", "short.mp4", "z.png"]


def test_the_reference_frame_is_the_first_a_chosen_or_a_drawn_one(folder: Path) -> None:
    usable, _ = usable_clips(find_clips(folder)[0], request(folder))

    def frames(choice: object) -> list[int]:
        pairs = self_pairs(usable, request(folder, test="self", reference_frame=choice))
        return [pair.reference_frame for pair in pairs]

    assert frames(0) == [0] * 4 and frames(2) == [2] * 4
    assert frames("random") == frames("random") and len(set(frames("random"))) > 1


def test_held_out_are_exactly_those_that_a_training_on_the_shards_never_draws(
    folder: Path, tmp_path: Path
) -> None:
    clip = (folder / "more" / "a.mp4").read_bytes()
    for number in range(2):
        with write_shard(tmp_path / f"shard-{number}.tar") as shard:
            for person in range(5):
                metadata = json.dumps({"identity": f"person {person}"}).encode()
                shard.write(f"clip{number}{person}", {"mp4": clip, "json": metadata})
    for share, expected in ((0.01, 2), (0.4, 4)):
        plan = make_plan(request(tmp_path, test="self", held_out=share))
        kept = {pair.driver.name.split("/")[1] for pair in plan.pairs}
        assert len(kept) == expected
        assert kept == {entry.key for entry in list_clips([tmp_path], share, "held-out")}
        assert not kept & {entry.key for entry in list_clips([tmp_path], share, "train")}


def test_nothing_is_held_out_of_videos_or_of_one_person(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.mp4.*shards of a training"):
        make_plan(request(folder, held_out=0.5))
    (tmp_path / "shard.tar").write_bytes((folder / "shard-000.tar").read_bytes())
    with pytest.raises(InputError, match="a single identity"):
        make_plan(request(tmp_path, held_out=0.5))


def test_a_damaged_shard_gives_what_is_before_the_damage(folder: Path, tmp_path: Path) -> None:
    shard = folder / "shard-000.tar"
    begin, _ = open_shard(shard).entries[1].members["mp4"]
    (tmp_path / "cut.tar").write_bytes(shard.read_bytes()[: begin + 100])
    clips, rejected = find_clips(tmp_path)
    assert [clip.name for clip in clips] == ["cut.tar/p0"]
    assert [one.name for one in rejected] == ["cut.tar"] and "cut off" in rejected[0].reason


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video"):
        find_clips(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_clips(tmp_path / "missing")
