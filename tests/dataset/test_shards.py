"""Shards as files: what is written is WebDataset, what is damaged is read as far as it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_shards import write_samples

from megactor_core.dataset.shards import BrokenSample, find_shards, open_shard, write_shard
from megactor_core.errors import InputError

SAMPLES = {f"clip{index}": {"mp4": bytes([index]) * 3000, "json": b'{"a": 1}'} for index in range(5)}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_samples(tmp_path / "00000.tar", SAMPLES)


def test_samples_come_back_in_their_order(shard: Path) -> None:
    opened = open_shard(shard)
    assert opened.damage == ""
    assert {entry.key: entry.sample() for entry in opened.entries} == SAMPLES
    assert [entry.key for entry in opened.entries] == list(SAMPLES)
    assert opened.entries[2].read_json("json") == {"a": 1}


def test_the_same_samples_give_the_same_bytes(shard: Path, tmp_path: Path) -> None:
    assert write_samples(tmp_path / "again.tar", SAMPLES).read_bytes() == shard.read_bytes()


def test_webdataset_reads_the_original_key_names(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    parts = {"mp4": b"a", "swapped.mp4": b"b", "mp4_styled": b"c", "faces.json": b"{}", "sources": b"d"}
    path = write_samples(tmp_path / "00000.tar", {"one": parts, "two": parts})
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["one", "two"]
    assert all({part: sample[part] for part in parts} == parts for sample in samples)


def test_shards_that_webdataset_wrote_are_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "folder.v1/clip", "mp4": b"a", "swapped.mp4": b"b"})
    (entry,) = open_shard(tmp_path / "a.tar").entries
    assert entry.key == "folder.v1/clip"
    assert entry.sample() == {"mp4": b"a", "swapped.mp4": b"b"}


@pytest.mark.parametrize("cut", [2, 3])
def test_a_cut_off_shard_is_read_up_to_the_sample_at_the_cut(shard: Path, cut: int) -> None:
    data = shard.read_bytes()
    entry = open_shard(shard).entries[cut]
    shard.write_bytes(data[: entry.members["mp4"][0] + 100])
    opened = open_shard(shard)
    assert [entry.key for entry in opened.entries] == [f"clip{index}" for index in range(cut)]
    assert f"cut off after {cut} samples" in opened.damage


def test_a_file_that_is_no_tar_has_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "00000.tar"
    path.write_bytes(b"not a tar file" * 100)
    assert open_shard(path).entries == ()
    assert "is no tar file" in open_shard(path).damage


def test_a_missing_part_is_named(shard: Path) -> None:
    with pytest.raises(BrokenSample, match=r"part swapped\.mp4 is missing"):
        open_shard(shard).entries[0].read("swapped.mp4")


def test_nothing_is_left_of_a_shard_whose_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), write_shard(tmp_path / "00000.tar") as writer:
        writer.write("a", {"mp4": b"a"})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_folders_and_files_without_shards_are_refused(shard: Path, tmp_path: Path) -> None:
    (tmp_path / ".00001.0123abcd.tar").touch()
    assert find_shards([tmp_path, shard]) == [shard, shard]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no shards"):
        find_shards([tmp_path / "empty"])
    with pytest.raises(InputError, match="there is no such folder or shard"):
        find_shards([tmp_path / "none"])
