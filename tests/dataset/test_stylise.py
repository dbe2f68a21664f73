"""Another style for the same frames, through a tiny random image-to-image pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clip_shards import puppet_sample, write_samples
from tiny_stylist import write_tiny_stylist

from megactor_core.dataset.clip_file import ClipFile
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.runner import run_step
from megactor_core.dataset.settings import StyliseSettings
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.errors import InputError


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_stylist(tmp_path_factory.mktemp("pipeline"))


def settings(model: Path, **changes: object) -> StyliseSettings:
    fields = {"num_inference_steps": 4, "size": 32, "device": "cpu"}
    return StyliseSettings.model_validate({"model": str(model), **fields, **changes})


def stylise(folder: Path, settings: StyliseSettings) -> list[Entry]:
    if not (folder / "in").exists():
        clips = {f"clip{i}": puppet_sample(i, frames=7, size=64, swapped=False) for i in range(2)}
        write_samples(folder / "in" / "00000.tar", clips)
    run_step(settings, folder / "in", folder / "out", Executor())
    return list(open_shard(folder / "out" / "00000.tar").entries)


def frames(clip: Entry, part: str) -> np.ndarray:
    with ClipFile(clip.read(part)) as reader:
        return np.stack(list(reader.frames())).astype(float)


def test_every_frame_is_stylised_in_its_size(tmp_path: Path, pipeline_folder: Path) -> None:
    clips = stylise(tmp_path, settings(pipeline_folder))
    for clip in clips:
        before, after = frames(clip, "mp4"), frames(clip, "mp4_styled")
        assert before.shape == after.shape == (7, 64, 64, 3)
        assert np.abs(before - after).mean() > 5
        # One seed per clip: frames that are alike stay alike, which noise of its own each would prevent.
        assert np.abs(np.diff(after, axis=0)).mean() < 3 * np.abs(np.diff(before, axis=0)).mean() + 3


def test_the_result_hangs_on_the_seed_and_not_on_the_batch(tmp_path: Path, pipeline_folder: Path) -> None:
    first = stylise(tmp_path / "a", settings(pipeline_folder))[0]
    batched = stylise(tmp_path / "b", settings(pipeline_folder, batch_size=3))[0]
    assert np.abs(frames(first, "mp4_styled") - frames(batched, "mp4_styled")).mean() < 1
    other = stylise(tmp_path / "c", settings(pipeline_folder, seed=1))[0]
    assert np.abs(frames(first, "mp4_styled") - frames(other, "mp4_styled")).mean() > 1


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: cannot be loaded .*diffusers pipeline"):
        stylise(tmp_path, settings(tmp_path / "empty"))


def test_a_gpu_is_asked_for_unless_it_runs_on_the_cpu(tmp_path: Path) -> None:
    assert settings(tmp_path).gpus == 0 and settings(tmp_path, device="auto").gpus == 1
