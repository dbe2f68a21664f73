"""The driver's sound goes along: copied where possible, in step with the picture, cut at its end."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import (
    SAMPLE_RATE,
    beep,
    beep_time,
    decoded_sound,
    first_picture_time,
    grey_images,
    make_video,
    patch_bytes,
    sound_packets,
)

from megactor_core.errors import InputError
from megactor_core.media.reading import open_driving
from megactor_core.media.sound import read_sound
from megactor_core.media.writing import VideoWriter

PACKET = 1024 / SAMPLE_RATE


def _source(folder: Path, codec: str) -> Path:
    """MP4 tells how to line up AAC exactly; PCM needs MKV."""
    return folder / ("a.mkv" if codec.startswith("pcm") else "a.mp4")


def _tolerance(target: str) -> float:
    """In seconds. FFmpeg before 8.1 lines up AAC in MKV only to a packet."""
    return PACKET + 0.005 if target.endswith("mkv") else 0.005


def _copy(source: Path, path: Path, start: int = 0, stop: int | None = None) -> Path:
    """Write the frames of ``source`` with its sound, as an animation of it would."""
    driving = open_driving(source)
    begin = driving.frame_times.time(start)
    options = {"audio_source": source, "audio_start": begin}
    with VideoWriter(path, driving.width, driving.height, driving.frame_rate, **options) as writer:
        for _, time, image in driving.frames(start, stop):
            writer.write(image, time - begin)
    return path


def _sound_codec(path: Path) -> str | None:
    with av.open(str(path)) as container:
        streams = container.streams.audio
        return streams[0].codec_context.codec.canonical_name if streams else None


def _sound_seconds(path: Path) -> float:
    samples, rate = decoded_sound(path)
    return len(samples) / rate


@pytest.mark.parametrize(
    ("source", "codec", "target", "expected"),
    [
        ("a.mp4", "aac", "b.mp4", "aac"),
        ("a.ts", "aac", "b.mp4", "aac"),
        ("a.mp4", "mp3", "b.mp4", "mp3"),
        ("a.mkv", "aac", "b.mov", "aac"),
        ("a.mp4", "aac", "b.mkv", "aac"),
        ("a.webm", "libopus", "b.webm", "opus"),
    ],
)
def test_sound_is_copied_where_players_know_it(
    tmp_path: Path, source: str, codec: str, target: str, expected: str
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, SAMPLE_RATE)).astype(np.float32)
    video = "libvpx" if source.endswith("webm") else "libx264"
    original = make_video(tmp_path / source, grey_images(25), codec=video, sound=noise, sound_codec=codec)
    copy = _copy(original, tmp_path / target)
    assert _sound_codec(copy) == expected
    before, after = sound_packets(original), sound_packets(copy)
    if source.endswith("ts"):
        before = [packet[7:] for packet in before]  # transport streams frame every packet
    assert after and all(packet in before for packet in after)
    assert _sound_seconds(copy) == pytest.approx(1.0, abs=2 * PACKET)


@pytest.mark.parametrize(
    ("source", "codec", "rate", "target", "expected"),
    [
        ("a.mkv", "pcm_s16le", 48000, "b.mp4", "aac"),
        ("a.avi", "pcm_s16le", 44100, "b.mp4", "aac"),
        ("a.mkv", "flac", 96000, "b.mp4", "aac"),
        ("a.mkv", "pcm_s16le", 8000, "b.mp4", "aac"),
        ("a.mkv", "libopus", 48000, "b.mp4", "aac"),
        ("a.mp4", "aac", 44100, "b.webm", "opus"),
    ],
)
def test_other_sound_is_encoded_again(
    tmp_path: Path, source: str, codec: str, rate: int, target: str, expected: str
) -> None:
    tone = beep(1.0, 0.5, rate)
    original = make_video(
        tmp_path / source,
        grey_images(25),
        codec="mpeg4",
        sound=np.repeat(tone, 2, axis=0),
        sound_rate=rate,
        sound_codec=codec,
    )
    copy = _copy(original, tmp_path / target)
    assert _sound_codec(copy) == expected
    assert beep_time(copy) == pytest.approx(0.5, abs=0.005)
    assert _sound_seconds(copy) == pytest.approx(1.0, abs=2 * PACKET)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("target", ["b.mp4", "b.mkv", "b.webm"])
def test_longer_sound_is_cut_at_the_pictures_end(tmp_path: Path, codec: str, target: str) -> None:
    original = make_video(_source(tmp_path, codec), grey_images(25), sound=beep(3.0, 0.7), sound_codec=codec)
    copy = _copy(original, tmp_path / target)
    assert open_driving(copy).num_frames == 25
    assert _sound_seconds(copy) == pytest.approx(1.0, abs=PACKET + 0.005)
    with av.open(str(copy)) as container:
        assert container.duration / 1e6 == pytest.approx(1.0, abs=PACKET)
    assert beep_time(copy) == pytest.approx(0.7, abs=_tolerance(target))


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_shorter_sound_ends_sooner(tmp_path: Path, codec: str) -> None:
    original = make_video(_source(tmp_path, codec), grey_images(50), sound=beep(0.8, 0.3), sound_codec=codec)
    copy = _copy(original, tmp_path / "b.mp4")
    assert open_driving(copy).num_frames == 50
    assert _sound_seconds(copy) == pytest.approx(0.8, abs=2 * PACKET)
    assert beep_time(copy) == pytest.approx(0.3, abs=0.005)
    with av.open(str(copy)) as container:
        assert container.duration / 1e6 == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("target", ["b.mp4", "b.mkv", "b.webm"])
@pytest.mark.parametrize(
    ("picture_begin", "sound_begin"), [(0.4, 0.0), (0.0, 0.4), (0.0, -0.2), (10.0, 10.3)]
)
def test_sound_and_picture_stay_in_step(
    tmp_path: Path, codec: str, target: str, picture_begin: float, sound_begin: float
) -> None:
    first = round(picture_begin * 25)
    original = make_video(
        _source(tmp_path, codec),
        grey_images(25),
        pts=range(first, first + 25),
        sound=beep(1.5, 0.5),
        sound_codec=codec,
        sound_begin=Fraction(sound_begin).limit_denominator(100),
    )
    copy = _copy(original, tmp_path / target)
    expected = sound_begin + 0.5 - picture_begin
    assert beep_time(copy) - first_picture_time(copy) == pytest.approx(expected, abs=_tolerance(target))
    assert beep_time(original) - first_picture_time(original) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("codec", ["aac", "mp3", "pcm_s16le"])
@pytest.mark.parametrize("target", ["b.mp4", "b.mkv", "b.webm"])
def test_a_part_of_the_video_gets_its_part_of_the_sound(tmp_path: Path, codec: str, target: str) -> None:
    original = make_video(_source(tmp_path, codec), grey_images(50), sound=beep(2.0, 1.3), sound_codec=codec)
    copy = _copy(original, tmp_path / target, 22, 42)
    assert open_driving(copy).num_frames == 20
    assert beep_time(copy) - first_picture_time(copy) == pytest.approx(1.3 - 22 / 25, abs=_tolerance(target))
    assert _sound_seconds(copy) == pytest.approx(0.8, abs=PACKET * 1.5)


def test_a_gap_in_the_sound_stays_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", SAMPLE_RATE)
        audio.layout = "mono"
        for index, image in enumerate(grey_images(50)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for begin, samples in ((0.0, beep(0.3, 1.0)), (1.2, beep(0.5, 0.1))):
            sound = av.AudioFrame.from_ndarray(
                (samples * 32767).astype(np.int16), format="s16", layout="mono"
            )
            sound.sample_rate, sound.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            sound.pts = round(begin * SAMPLE_RATE)
            container.mux(audio.encode(sound))
    assert beep_time(path) == pytest.approx(1.3, abs=0.005)
    assert beep_time(_copy(path, tmp_path / "b.mp4")) == pytest.approx(1.3, abs=0.005)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_recordings_joined_end_to_end_play_one_after_the_other(tmp_path: Path, codec: str) -> None:
    part = make_video(tmp_path / "part.ts", grey_images(25), sound=beep(1.0, 0.5), sound_codec=codec)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    copy = _copy(joined, tmp_path / "b.mp4")
    assert open_driving(copy).num_frames == 50
    samples, rate = decoded_sound(copy)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    assert np.abs(samples[: rate * 5 // 4]).max() > 0.2 and np.abs(samples[rate * 5 // 4 :]).max() > 0.2


def test_a_sound_file_can_be_the_source(tmp_path: Path) -> None:
    sound = make_video(tmp_path / "a.mkv", grey_images(2), sound=beep(1.0, 0.5))
    with av.open(str(sound)) as container, av.open(str(tmp_path / "a.m4a"), "w") as output:
        stream = output.add_stream_from_template(container.streams.audio[0])
        for packet in container.demux(audio=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    with VideoWriter(tmp_path / "b.mp4", 64, 48, Fraction(25), audio_source=tmp_path / "a.m4a") as writer:
        for image in grey_images(25):
            writer.write(image)
    assert beep_time(tmp_path / "b.mp4") == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("name", ["silent.mp4", "still.png", "moving.gif"])
def test_a_source_without_sound_gives_a_silent_video(tmp_path: Path, name: str) -> None:
    if name == "silent.mp4":
        make_video(tmp_path / name, grey_images(3))
    else:
        from PIL import Image

        first, *rest = [Image.fromarray(image) for image in grey_images(3)]
        first.save(
            tmp_path / name, **({"save_all": True, "append_images": rest} if name == "moving.gif" else {})
        )
    copy = _copy(tmp_path / name, tmp_path / "b.mp4")
    assert _sound_codec(copy) is None


def test_damaged_sound_does_not_stop_the_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, SAMPLE_RATE)).astype(np.float32)
    original = make_video(tmp_path / "a.mkv", grey_images(25), sound=noise, sound_codec="libopus")
    packets = sound_packets(original)
    data = original.read_bytes()
    for packet in packets[10:20]:
        data = data.replace(packet, b"\xff" * len(packet))
    original.write_bytes(data)
    copy = _copy(original, tmp_path / "b.mp4")
    assert open_driving(copy).num_frames == 25
    assert _sound_seconds(copy) == pytest.approx(1.0, abs=0.05)


def test_sound_without_a_decoder_is_left_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", grey_images(25), sound=beep(1.0, 0.3))
    for marker in (b"mp4a", b"esds"):
        patch_bytes(path, marker, -4, b"zzzz")
    assert not open_driving(path).has_audio
    with av.open(str(_copy(path, tmp_path / "b.mp4"))) as container:
        assert len(container.streams.video) == 1 and not container.streams.audio


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile '{0}'\n"])
def test_a_list_of_other_files_is_no_sound(tmp_path: Path, text: str) -> None:
    sound = tmp_path / "part.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    listed = tmp_path / "list.m3u8"
    listed.write_text(text.format(sound.name))
    with pytest.raises(InputError, match="sound"):
        read_sound(listed, Fraction(0), Fraction(1))
