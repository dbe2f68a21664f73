"""From talking videos to shards for speech: pack, valid, frontal, moves, sync, and what training hears."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clip_shards import faces_json, write_samples
from numpy.typing import NDArray

from megactor_core.dataset.inspect import shard_sheet
from megactor_core.dataset.pack import pack
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.runner import run_step
from megactor_core.dataset.settings import (
    FrontalSettings,
    MovesSettings,
    PackSettings,
    Rejected,
    SampleSettings,
    SyncSettings,
    ValidSettings,
)
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.dataset.stats import collect_stats
from megactor_core.dataset.steps.sync import SyncFilter
from megactor_core.media.samples import Samples
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import render_motion
from megactor_core.puppets.speaking import sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.training.config.data import ShardClipsConfig
from megactor_core.training.config.modalities import ModalitiesConfig, ModalityDraw
from megactor_core.training.data.sample import SampleFormat
from megactor_core.training.data.shards import ShardClips
from megactor_core.vision.modes.eyes import EYES_MOUTH

SPEECH = Path(__file__).resolve().parent.parent / "data" / "speech.npz"
FRAMES, SIZE, FRAME = 75, 96, 640
HERE = Executor()


def shifted(sound: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Sound that comes so many frames later."""
    moved = np.zeros_like(sound)
    moved[max(frames, 0) * FRAME : len(sound) + min(frames, 0) * FRAME] = sound[
        max(-frames, 0) * FRAME : len(sound) - max(frames, 0) * FRAME
    ]
    return moved


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of a speaking puppet's videos with its true landmarks; the name tells the sound's shift."""
    folder = tmp_path_factory.mktemp("speaking")
    clip = sample_speaking_clip(3, 1, FRAMES, SpeechCorpus.read(SPEECH))
    images, _, boxes, landmarks = render_motion(clip.clip.identity, clip.clip.motion, SIZE)
    sounds = {f"{shift:+d}": shifted(clip.heard, shift) for shift in (-3, 0, 5)}
    (folder / "videos").mkdir()
    for name, sound in {**sounds, "mute": None, "wanders": sounds["+0"], "aside": sounds["+0"]}.items():
        samples = None if sound is None else Samples(sound[None], 16_000)
        with VideoWriter(folder / "videos" / f"{name}.mp4", SIZE, SIZE, Fraction(25), samples) as writer:
            for image in images:
                writer.write(image)
    pack(PackSettings(frame_rate=25), folder / "videos", folder / "clips", HERE)
    (path,) = (folder / "clips").glob("*.tar")
    samples_by_name = {}
    for entry in open_shard(path).entries:
        name = entry.read_json("json")["source"].removesuffix(".mp4")
        away = np.linspace(0, 30 if name == "wanders" else 0, FRAMES)[:, None]
        stretch = np.array([4, 1]) if name == "aside" else np.ones(2)
        seen = faces_json(boxes + away, landmarks * stretch)
        faces = json.loads(seen) | {"size": [SIZE, SIZE], "persons": [1] * FRAMES}
        samples_by_name[name] = entry.sample() | {"faces.json": json.dumps(faces).encode()}
    write_samples(folder / "faces" / "00000.tar", samples_by_name)
    return folder / "faces"


def clips(folder: Path) -> dict[str, Entry]:
    return {entry.key: entry for entry in open_shard(folder / "00000.tar").entries}


def test_clips_that_speak_go_through_all_steps_into_training(packed: Path, tmp_path: Path) -> None:
    small = {"minimum_half_side": 20, "minimum_points": 0}
    steps: list[tuple[SampleSettings, dict[str, int]]] = [
        (ValidSettings.model_validate(small), {}),
        (FrontalSettings(minimum_angle=8, minimum_ratio=0.8), {"not frontal": 1}),
        (MovesSettings(), {"the head moves far": 1}),
        (SyncSettings(), {"out of sync": 2, "no sound": 1}),
    ]
    source = packed
    for settings, rejected in steps:
        manifest = run_step(settings, source, tmp_path / settings.step, HERE)
        assert manifest["rejected"] == rejected
        source = tmp_path / settings.step
    assert set(clips(source)) == {"+0"}
    found = clips(source)["+0"].read_json("sync.json")
    assert found["by"] == "landmarks" and abs(found["lag"]) <= 1 and found["r"] > 0.5
    assert collect_stats([source]).numbers["measures"]["lip lag"]["mean"] == found["lag"]
    table = ModalitiesConfig(draws=(ModalityDraw(share=1, show="eyes", sound="speech", masked=("mouth",)),))
    wanted = SampleFormat(64, 8, mode=EYES_MOUTH, hears=True, modalities=table)
    config = ShardClipsConfig(shards=(source,), size=64, frames=8, minimum_face_ratio=0.01, held_out=0)
    batch = ShardClips(config, 0, wanted, "train")[0]
    assert batch["sound"].abs().max() > 0.05 and batch["sound_rows"].shape == (1, 8, 10)
    assert (batch["weights"] == 0).any()


@pytest.mark.parametrize(("name", "lag"), [("-3", 3), ("+5", -5)])
def test_the_lag_of_the_lips_is_that_of_the_sound(packed: Path, name: str, lag: int) -> None:
    with pytest.raises(Rejected, match="out of sync") as rejected:
        SyncFilter.from_files(SyncSettings())(clips(packed)[name])
    assert abs(int(rejected.value.detail.split()[1]) - lag) <= 1


def test_lips_that_do_not_go_with_the_sound_are_left_out(packed: Path, tmp_path: Path) -> None:
    clip = clips(packed)["+0"]
    faces = clip.read_json("faces.json")
    reasons = {"backwards": "sync is doubtful|out of sync", "five points": "no landmarks"}
    changes = {"backwards": {"landmarks": faces["landmarks"][::-1]}, "five points": {"landmarks": None}}
    samples = {
        name: clip.sample() | {"faces.json": json.dumps(faces | change).encode()}
        for name, change in changes.items()
    }
    path = write_samples(tmp_path / "00000.tar", samples)
    for entry in open_shard(path).entries:
        with pytest.raises(Rejected, match=reasons[entry.key]):
            SyncFilter.from_files(SyncSettings())(entry)


def test_stats_and_inspect_tell_of_sound_and_measures(packed: Path) -> None:
    stats = collect_stats([packed])
    assert stats.numbers["clips"] == 6 and stats.numbers["clips_with_sound"] == 5
    measured = {"frontal ratio", "move ratio", "yaw range", "pitch range", "loudness", "speech share"}
    assert set(stats.numbers["measures"]) == measured == set(stats.measures)
    assert stats.measures["move ratio"].max() > 0.4 > np.median(stats.measures["move ratio"])
    assert (stats.measures["loudness"] < -10).all() and (stats.measures["speech share"] > 0.5).all()
    _, lines = shard_sheet(packed / "00000.tar", 6)
    told = dict(line.split(": ", 1) for line in lines)
    assert told["mute"].endswith("; no sound") and "sound aac" in told["+0"]
