"""Sound of clips: packed in step with the picture, read as the speech encoder takes it."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clip_shards import encode, write_samples

from megactor_core.dataset.clip_file import ClipFile
from megactor_core.dataset.pack import pack
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.settings import PackSettings
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.dataset.sound import (
    check_sound,
    clip_sound,
    has_sound,
    loudness,
    sound_facts,
    speech_share,
)
from megactor_core.errors import InputError
from megactor_core.media.samples import Samples
from megactor_core.media.waveform import SAMPLE_RATE, read_waveform
from megactor_core.media.writing import VideoWriter

FRAME_RATE = 10
SECONDS = 24
SHIFTS = range(-400, 400)
FLASHES = np.arange(0.5, SECONDS)
"""Seconds at which the picture flashes and the sound beeps, for a tenth of a second."""


def chirps(rate: int = 48_000) -> np.ndarray:
    """Beeps of rising pitch, (1, samples), so that every second has a sound of its own."""
    time = np.arange(SECONDS * rate) / rate
    beeps = ((time[:, None] >= FLASHES) & (time[:, None] < FLASHES + 0.1)).any(axis=1)
    return (0.5 * beeps * np.sin(2 * np.pi * (300 + 20 * np.floor(time)) * time))[None].astype(np.float32)


def flashing_video(path: Path) -> Path:
    """A video that flashes white where it beeps; another scene after 12 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = Samples(chirps(), 48_000)
    with VideoWriter(path, 64, 48, Fraction(FRAME_RATE), sound) as writer:
        for index in range(SECONDS * FRAME_RATE):
            image = np.full((48, 64, 3), (60, 110)[index // 120], np.uint8)
            image[:, :32] = (90, 30)[index // 120]
            if index % FRAME_RATE == FRAME_RATE // 2:
                image[16:32, 24:40] = 255
            writer.write(image)
    return path


def entries(folder: Path) -> list[Entry]:
    return [entry for path in sorted(folder.glob("*.tar")) for entry in open_shard(path).entries]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flashing_video(tmp_path_factory.mktemp("videos") / "a.mp4")


@pytest.fixture(scope="module")
def packed(video: Path) -> Path:
    target = video.parent.parent / f"{video.parent.name}-packed"
    pack(PackSettings(frame_rate=FRAME_RATE, maximum_seconds=6), video.parent, target, Executor())
    return target


def test_a_clip_has_the_sound_of_its_part_of_the_video(packed: Path, video: Path) -> None:
    whole = read_waveform(video)
    clips = entries(packed)
    assert len(clips) == 4
    for clip in clips:
        facts = clip.read_json("json")
        begin = round(facts["first_frame"] * SAMPLE_RATE / FRAME_RATE)
        count = round(facts["frames"] * SAMPLE_RATE / FRAME_RATE)
        sound = clip_sound(clip.read("mp4"))
        assert sound is not None and abs(len(sound) - count) < 0.1 * SAMPLE_RATE
        # The packets are the video's own, so that nothing but the decoder's start differs.
        same = np.abs(sound[1600:count] - whole[begin + 1600 : begin + count])
        assert same.max() < 1e-3
        assert facts["sound"] == sound_facts(clip.read("mp4"))
        assert facts["sound"]["codec"] == "aac"


def test_picture_and_sound_of_a_clip_are_in_step(packed: Path) -> None:
    for clip in entries(packed):
        with ClipFile(clip.read("mp4")) as reader:
            flash = np.array([image[20:28, 28:36].mean() > 200 for image in reader.frames()])
        sound = clip_sound(clip.read("mp4"))
        assert sound is not None
        begins = np.flatnonzero(np.diff(flash.astype(int)) > 0) + 1
        loud = np.abs(sound) > 0.2
        for begin in begins:
            assert abs(np.flatnonzero(loud[begin * 1600 - 800 : begin * 1600 + 800])[0] - 800) < 80  # 5 ms


@pytest.mark.parametrize(("suffix", "allowed"), [("mkv", 16), ("ts", 0)])
def test_sound_of_any_container_is_cut_like_the_picture(
    tmp_path: Path, video: Path, suffix: str, allowed: int
) -> None:
    path = tmp_path / "in" / f"a.{suffix}"
    path.parent.mkdir()
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    pack(PackSettings(frame_rate=FRAME_RATE, maximum_seconds=6), path.parent, tmp_path / "out", Executor())
    whole = read_waveform(path)
    clip = entries(tmp_path / "out")[3]
    first = clip.read_json("json")["first_frame"]
    assert first == 180
    sound = clip_sound(clip.read("mp4"))
    assert sound is not None
    begin = round(first * SAMPLE_RATE / FRAME_RATE)
    # Matroska counts in milliseconds.
    shifts = {
        shift: np.abs(sound[4000:90000] - whole[begin + shift :][4000:90000]).mean() for shift in SHIFTS
    }
    best = min(shifts, key=lambda shift: shifts[shift])
    assert abs(best) <= allowed and shifts[best] < np.median(list(shifts.values())) / 10


def test_clips_without_sound_stay_valid(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "in.mp4", 64, 48, Fraction(10)) as writer:
        for index in range(20):
            writer.write(np.full((48, 64, 3), 90 + index, np.uint8))
    (tmp_path / "in").mkdir()
    (tmp_path / "in.mp4").rename(tmp_path / "in" / "a.mp4")
    manifest = pack(PackSettings(), tmp_path / "in", tmp_path / "out", Executor())
    (clip,) = entries(tmp_path / "out")
    assert manifest["out"] == 1 and clip.read_json("json")["sound"] is None
    assert not has_sound(clip) and clip_sound(clip.read("mp4")) is None


def test_sound_that_mp4_cannot_copy_is_encoded_again(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.avi"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", 10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("libmp3lame", 8000)
        audio.layout = "mono"
        frame = av.AudioFrame.from_ndarray(chirps(8000)[:, :16000], format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*audio.encode(frame), *audio.encode(None)])
        for _ in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8))))
        container.mux(video.encode(None))
    pack(PackSettings(), path.parent, tmp_path / "out", Executor())
    (clip,) = entries(tmp_path / "out")
    assert clip.read_json("json")["sound"]["codec"] == "aac"


def test_loudness_is_in_decibels_and_speech_is_what_is_louder_than_minus_45() -> None:
    ones = np.ones(SAMPLE_RATE, np.float32)
    assert loudness(0.1 * ones) == pytest.approx(-20)
    assert loudness(0 * ones) == -100
    just_over, just_under = (np.float32(10 ** (level / 20)) * ones for level in (-44.99, -45.01))
    assert speech_share(just_over) == 1 and speech_share(just_under) == 0
    assert speech_share(np.concatenate([just_over, just_under, just_under, just_under])) == 0.25


def test_shards_without_sound_are_told_of_before_any_work(tmp_path: Path, packed: Path) -> None:
    old = {"mp4": encode([np.zeros((32, 32, 3), np.uint8)] * 4), "json": b'{"sha256": "0", "frames": 4}'}
    foreign = {"mp4": entries(packed)[0].read("mp4")}
    broken = {"mp4": b"no video"}
    path = write_samples(tmp_path / "00000.tar", {"foreign": foreign, "old": old, "broken": broken})
    clips = open_shard(path).entries
    check_sound(entries(packed))
    check_sound(clips[:1])
    with pytest.raises(InputError, match=r"00000\.tar: 2 of 3 clips have no sound .*old.*dataset pack"):
        check_sound(clips)


def test_stream_copy_keeps_the_packets_of_the_video(packed: Path, video: Path) -> None:
    def packets(file: object) -> list[bytes]:
        with av.open(file) as container:
            return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]

    theirs = set(packets(str(video)))
    for clip in entries(packed)[:3]:
        assert set(packets(io.BytesIO(clip.read("mp4")))) <= theirs


def test_the_metadata_of_sound_are_json(packed: Path) -> None:
    facts = json.loads(entries(packed)[0].read("json"))
    assert set(facts["sound"]) == {"codec", "loudness", "speech_share"}
    assert -60 < facts["sound"]["loudness"] < -10 and 0.05 < facts["sound"]["speech_share"] < 0.3
