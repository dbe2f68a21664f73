"""Command ``puppets``: the files it writes and what it refuses."""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
import pytest

from megactor_core.cli import puppets
from megactor_core.errors import InputError
from megactor_core.media.pictures import load_picture
from megactor_core.media.waveform import read_waveform
from megactor_core.puppets.clips import clip_pair
from megactor_core.puppets.speaking import sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus

SPEECH = Path(__file__).resolve().parent.parent / "data" / "speech.npz"


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    puppets.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["puppets", *arguments])
    return int(args.run(args))


def test_a_folder_of_clips(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    assert (
        command("--output", str(folder), "--clips", "2", "--frames", "5", "--size", "64", "--seed", "3") == 0
    )
    assert len(list(folder.iterdir())) == 8
    pair = clip_pair(3, 1, 5, 64)
    np.testing.assert_array_equal(load_picture(folder / "001_reference.png"), pair.reference.image)
    sheet = load_picture(folder / "001_sheet.png")
    assert sheet.shape == (128, 6 * 64, 3)
    np.testing.assert_array_equal(sheet[64:, 64:128], pair.truth_frames[0])
    with av.open(str(folder / "001_driver.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].average_rate == 25
    assert len(frames) == 5
    assert np.abs(np.stack(frames).astype(float) - pair.driver_frames).mean() < 6


def test_files_are_replaced_only_on_request(tmp_path: Path) -> None:
    arguments = ("--output", str(tmp_path), "--clips", "1", "--frames", "2", "--size", "48")
    command(*arguments)
    (tmp_path / "000_truth.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        command(*arguments, "--seed", "1")
    assert (tmp_path / "000_truth.mp4").read_bytes() == b"mine"
    command(*arguments, "--overwrite")
    assert (tmp_path / "000_truth.mp4").stat().st_size > 100


@pytest.mark.parametrize(
    ("option", "value"),
    [("--clips", "0"), ("--frames", "0"), ("--seed", "-1"), ("--size", "16"), ("--size", "9000")],
)
def test_impossible_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command("--output", str(tmp_path / "clips"), option, value)
    assert f"{option}: {value!r} is not a whole number from" in capsys.readouterr().err
    assert not (tmp_path / "clips").exists()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("mine")
    with pytest.raises(InputError, match="cannot be made a folder"):
        command("--output", str(tmp_path / "clips"))
    assert (tmp_path / "clips").read_text() == "mine"


def test_puppets_that_speak_are_heard_in_both_videos(tmp_path: Path) -> None:
    arguments = ("--output", str(tmp_path), "--clips", "1", "--frames", "8", "--size", "48")
    command(*arguments, "--speech", str(SPEECH))
    spoken = sample_speaking_clip(0, 0, 8, SpeechCorpus.read(SPEECH))
    sound = read_waveform(tmp_path / "000_sound.wav")
    np.testing.assert_allclose(sound, spoken.heard, atol=1e-4)
    assert len(list(tmp_path.iterdir())) == 5
    for kind in ("driver", "truth"):
        heard = read_waveform(tmp_path / f"000_{kind}.mp4")[: len(sound)]
        assert np.corrcoef(heard, sound)[0, 1] > 0.95  # AAC, not a frame late
    with pytest.raises(InputError, match="exists already"):
        command(*arguments, "--speech", str(SPEECH))


def test_a_corpus_that_cannot_be_read_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "speech.npz").write_bytes(b"none")
    with pytest.raises(InputError, match="is not a speech corpus"):
        command("--output", str(tmp_path / "clips"), "--speech", str(tmp_path / "speech.npz"))
    assert not (tmp_path / "clips").exists()
