"""From videos to shards of clips."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from megactor_core.dataset.clip_file import ClipFile
from megactor_core.dataset.clip_list import list_clips
from megactor_core.dataset.pack import pack
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.settings import PackSettings
from megactor_core.dataset.shards import Entry, find_shards, open_shard
from megactor_core.errors import InputError
from megactor_core.media.writing import VideoWriter
from megactor_core.vision.cuts import find_cuts

HERE = Executor()


def scene(index: int, frames: int, size: tuple[int, int] = (64, 80)) -> list[np.ndarray]:
    """A shot: a coloured ground over which something moves, every frame a little brighter."""
    colour = np.random.default_rng(index).integers(40, 200, 3)
    images = []
    for number in range(frames):
        image = np.full((*size, 3), colour + number, np.uint8)
        image[10:20, number % 40 : number % 40 + 10] = 255 - colour
        images.append(image)
    return images


def write_video(path: Path, images: list[np.ndarray], frame_rate: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    with VideoWriter(path, width, height, Fraction(frame_rate)) as writer:
        for image in images:
            writer.write(image)
    return path


def settings(**changes: Any) -> PackSettings:
    return PackSettings.model_validate(
        {"frame_rate": 10, "minimum_seconds": 1, "maximum_seconds": 3, **changes}
    )


def entries(folder: Path) -> dict[str, Entry]:
    return {entry.key: entry for path in find_shards([folder]) for entry in open_shard(path).entries}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    write_video(folder / "a.mp4", [*scene(1, 15), *scene(2, 5), *scene(3, 40)])
    write_video(folder / "anna" / "b.b.mov", scene(4, 20, (63, 81)))
    return folder


def test_cuts_are_found_and_motion_is_none() -> None:
    images = [image for index, frames in enumerate((12, 30, 9)) for image in scene(index, frames)]
    assert find_cuts(images) == [12, 42]


def test_shots_become_clips_of_allowed_length(videos: Path, tmp_path: Path) -> None:
    manifest = pack(settings(), videos, tmp_path / "out", HERE)
    assert (manifest["in"], manifest["out"]) == (5, 4)
    assert manifest["rejected"] == {"shot too short": 1}
    facts = [entry.read_json("json") for entry in entries(tmp_path / "out").values()]
    found = sorted((fact["source"], fact["first_frame"], fact["frames"]) for fact in facts)
    assert found == [("a.mp4", 0, 15), ("a.mp4", 20, 20), ("a.mp4", 40, 20), ("anna/b.b.mov", 0, 20)]


def test_a_clip_is_the_videos_frames_and_says_where_it_is_from(videos: Path, tmp_path: Path) -> None:
    pack(settings(), videos, tmp_path / "out", HERE)
    clips = entries(tmp_path / "out")
    clip = next(clip for key, clip in clips.items() if key.startswith("a-") and key.endswith("_000020"))
    facts = clip.read_json("json")
    assert facts["identity"] == "a.mp4" and facts["frame_rate"] == 10 and facts["size"] == [64, 80]
    assert facts["sha256"] == hashlib.sha256(clip.read("mp4")).hexdigest()
    with ClipFile(clip.read("mp4")) as reader:
        for image, truth in zip(reader.frames(), scene(3, 40), strict=False):
            assert np.abs(image.astype(int) - truth).mean() < 4


def test_clips_are_h264_of_even_size_with_close_key_frames(videos: Path, tmp_path: Path) -> None:
    pack(settings(identity="folder"), videos, tmp_path / "out", HERE)
    clip = next(clip for key, clip in entries(tmp_path / "out").items() if key.startswith("b-b-"))
    assert clip.read_json("json")["identity"] == "anna"
    assert clip.read_json("json")["size"] == [64, 82]
    with av.open(io.BytesIO(clip.read("mp4"))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 82, 64)
        assert sum(packet.is_keyframe for packet in container.demux(stream) if packet.size) == 2


@pytest.mark.parametrize(
    ("rate", "shown"), [(20, [0, 0, 1, 1, 2, 2]), (5, [0, 2, 4, 6]), (15, [0, 0, 1, 2, 2])]
)
def test_the_frame_rate_is_changed_by_time(tmp_path: Path, rate: int, shown: list[int]) -> None:
    images = [np.full((32, 32, 3), 20 + 9 * number, np.uint8) for number in range(20)]
    write_video(tmp_path / "in" / "a.mp4", images)
    pack(settings(frame_rate=rate), tmp_path / "in", tmp_path / "out", HERE)
    (clip,) = entries(tmp_path / "out").values()
    with ClipFile(clip.read("mp4")) as reader:
        assert reader.num_frames == 2 * rate and reader.frame_rate == rate
        numbers = [round((float(image.mean()) - 20) / 9) for image in reader.frames()]
    assert numbers[: len(shown)] == shown


def test_unevenly_spaced_frames_are_cut_by_time_and_held_no_longer_than_a_clip(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    begins = [*range(20), *range(20, 60, 4), 1060]  # tenths of a second; one is held for 100 s
    with VideoWriter(tmp_path / "in" / "a.mp4", 64, 48, Fraction(10), uneven_times=True) as writer:
        for index, begin in enumerate(begins):
            image = np.full((48, 64, 3), 20 + 6 * index, np.uint8)
            end = begins[index + 1] if index + 1 < len(begins) else begin + 20
            writer.write(image, Fraction(begin, 10), duration=Fraction(end - begin, 10))
    pack(settings(), tmp_path / "in", tmp_path / "out", HERE)
    seconds = []
    for entry in entries(tmp_path / "out").values():
        facts = entry.read_json("json")
        seconds.append(facts["frames"] / facts["frame_rate"])
        with ClipFile(entry.read("mp4")) as reader:
            numbers = [round((float(image.mean()) - 20) / 6) for image in reader.frames()]
        first = begins[facts["first_frame"]]
        shown = [max(i for i, begin in enumerate(begins) if begin <= first + k) for k in range(len(numbers))]
        assert numbers == shown
    assert len(seconds) > 2 and max(seconds) <= 3.2


def test_large_videos_are_scaled_down(videos: Path, tmp_path: Path) -> None:
    pack(settings(shortest_side=32), videos, tmp_path / "out", HERE)
    sizes = {tuple(entry.read_json("json")["size"]) for entry in entries(tmp_path / "out").values()}
    assert sizes == {(32, 40), (32, 42)}


def test_unreadable_videos_are_counted(videos: Path, tmp_path: Path) -> None:
    (videos / "broken.mp4").write_bytes(b"not a video")
    (videos / "empty.mkv").touch()
    (videos / "cut.mp4").write_bytes((videos / "a.mp4").read_bytes()[:-2000])
    (videos / "notes.txt").write_text("not meant")
    manifest = pack(settings(), videos, tmp_path / "out", HERE)
    assert manifest["rejected"] == {"unreadable video": 3, "shot too short": 1} and manifest["out"] == 4
    assert manifest["passed_over"] == {".txt": 1}


@pytest.mark.parametrize("suffix", [".ts", ".mts", ".mpg", ".wmv", ".flv", ".3gp", ".ogv", ".M2TS"])
def test_no_kind_of_video_is_passed_over(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / "in" / "a.mkv", scene(1, 12))
    path.rename(path.with_suffix(suffix))
    assert pack(settings(), tmp_path / "in", tmp_path / "out", HERE)["out"] == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system allows fewer names")
def test_videos_of_any_name_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_video(tmp_path / "a.mp4", scene(1, 12))
    for name in (
        "12:30:00.mp4",
        os.fsdecode(b"caf\xe9.mp4"),
        "\N{GRINNING FACE}" * 61 + ".mp4",
        "two\nlines.mp4",
    ):
        shutil.copy(path, name)
    manifest = pack(settings(), Path("."), Path("out"), HERE)
    assert (manifest["out"], manifest["rejected"]) == (5, {})
    assert {entry.read_json("json")["source"] for entry in entries(Path("out")).values()} >= {"12:30:00.mp4"}
    assert list_clips([Path("out")], 0.2, "held-out")


def test_shards_hold_so_many_clips_and_are_the_same_with_processes(videos: Path, tmp_path: Path) -> None:
    pack(settings(clips_per_shard=3), videos, tmp_path / "one", HERE)
    assert [len(open_shard(path).entries) for path in find_shards([tmp_path / "one"])] == [3, 1]
    pack(settings(clips_per_shard=3), videos, tmp_path / "two", Executor(2))
    for path in (tmp_path / "one").glob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_what_is_done_is_not_done_again(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(settings(clips_per_shard=3), videos, tmp_path / "out", HERE)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    (tmp_path / "out" / "00001.tar").unlink()
    looked_at = []
    monkeypatch.setattr("megactor_core.dataset.pack.find_cuts", looked_at.append)
    pack(settings(clips_per_shard=3), videos, tmp_path / "out", HERE)
    assert not looked_at
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_other_videos_need_another_folder(videos: Path, tmp_path: Path) -> None:
    pack(settings(), videos, tmp_path / "out", HERE)
    write_video(videos / "c.mp4", scene(6, 12))
    with pytest.raises(InputError, match="was made with other videos"):
        pack(settings(), videos, tmp_path / "out", HERE)


def test_folders_without_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        pack(settings(), tmp_path / "none", tmp_path / "out", HERE)
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no videos"):
        pack(settings(), tmp_path / "in", tmp_path / "out", HERE)
    assert not (tmp_path / "out").exists()


def test_videos_without_a_usable_shot_give_no_shards_but_a_manifest(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "a.mp4", scene(1, 4))
    manifest = pack(settings(), tmp_path / "in", tmp_path / "out", HERE)
    assert (manifest["in"], manifest["out"], manifest["finished"]) == (1, 0, True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
