"""Other faces for the same frames: the built-in disguise and the user's program."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_shards import encode, puppet_sample, write_samples

from megactor_core.dataset.clip_file import ClipFile
from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.runner import run_step
from megactor_core.dataset.settings import SwapSettings
from megactor_core.dataset.shards import Entry, open_shard
from megactor_core.errors import InputError
from megactor_core.media.pictures import load_picture, save_picture

FRAMES = 12
COPY = "import shutil, sys; shutil.copy(sys.argv[2], sys.argv[3])"


@pytest.fixture(scope="module")
def samples() -> dict[str, dict[str, bytes]]:
    return {f"clip{i}": puppet_sample(i, frames=FRAMES, size=96, swapped=False) for i in range(3)}


def swap(folder: Path, samples: Mapping[str, Any], **changes: Any) -> tuple[dict[str, Entry], dict[str, Any]]:
    if not (folder / "in").exists():
        write_samples(folder / "in" / "00000.tar", samples)
    manifest = run_step(SwapSettings(**changes), folder / "in", folder / "out", Executor())
    return {entry.key: entry for entry in open_shard(folder / "out" / "00000.tar").entries}, manifest


def frames(clip: Entry, part: str) -> np.ndarray:
    with ClipFile(clip.read(part)) as reader:
        return np.stack(list(reader.frames())).astype(float)


def program(folder: Path, code: str, name: str = "program.py") -> str:
    (folder / name).write_text(code)
    return f"{sys.executable} {folder / name} {{source}} {{target}} {{output}}"


def test_the_disguise_changes_the_face_and_nothing_else(tmp_path: Path, samples: dict[str, Any]) -> None:
    clips, manifest = swap(tmp_path, samples)
    assert manifest["out"] == 3 and not manifest["noted"]
    for key, clip in clips.items():
        before, after = frames(clip, "mp4"), frames(clip, "swapped.mp4")
        assert after.shape == before.shape
        left, top, right, bottom = np.array(clip.read_json("faces.json")["boxes"]).mean(axis=0).astype(int)
        difference = np.abs(after - before).mean(axis=(0, 3))
        assert difference[top:bottom, left:right].mean() > 6, key
        assert difference[:6].mean() < 4 and difference[:, :6].mean() < 4


def test_the_disguise_moves_as_the_clip_does(tmp_path: Path, samples: dict[str, Any]) -> None:
    clips, _ = swap(tmp_path, samples)
    for clip in clips.values():
        before, after = frames(clip, "mp4"), frames(clip, "swapped.mp4")
        changes = [np.abs(np.diff(images, axis=0)).mean(axis=(1, 2, 3)) for images in (before, after)]
        assert np.corrcoef(*changes)[0, 1] > 0.9


def test_the_same_seed_gives_the_same_faces(tmp_path: Path, samples: dict[str, Any]) -> None:
    first, _ = swap(tmp_path / "a", samples)
    again, _ = swap(tmp_path / "b", samples)
    assert first["clip1"].read("swapped.mp4") == again["clip1"].read("swapped.mp4")
    others = [swap(tmp_path / str(seed), samples, seed=seed)[0] for seed in range(1, 5)]
    assert any(other["clip1"].read("swapped.mp4") != first["clip1"].read("swapped.mp4") for other in others)


def test_a_person_alone_is_kept_as_it_is(tmp_path: Path, samples: dict[str, Any]) -> None:
    clips, manifest = swap(tmp_path, {"clip0": samples["clip0"]})
    assert manifest["noted"] == {"no other person in the shards": 1}
    assert dict(clips["clip0"].sample()) == samples["clip0"]


def test_other_persons_are_looked_for_in_the_next_shards(tmp_path: Path, samples: dict[str, Any]) -> None:
    for number in range(2):
        write_samples(tmp_path / "in" / f"{number:05d}.tar", {f"clip{number}": samples[f"clip{number}"]})
    clips, manifest = swap(tmp_path, samples)
    assert not manifest["noted"] and "swapped.mp4" in clips["clip0"].members


def test_a_program_gets_another_face_and_the_clip(tmp_path: Path, samples: dict[str, Any]) -> None:
    code = f"import shutil, sys; shutil.copy(sys.argv[1], {str(tmp_path / 'face.png')!r}); {COPY}"
    clips, manifest = swap(tmp_path, samples, program=program(tmp_path, code))
    assert not manifest["noted"]
    assert load_picture(tmp_path / "face.png").shape == (96, 96, 3)
    difference = np.abs(frames(clips["clip2"], "swapped.mp4") - frames(clips["clip2"], "mp4"))
    assert difference.mean() < 3


def test_a_program_gets_portraits_of_the_user(tmp_path: Path, samples: dict[str, Any]) -> None:
    (tmp_path / "faces").mkdir()
    save_picture(tmp_path / "faces" / "a.png", np.full((20, 20, 3), 77, np.uint8))
    code = f"import shutil, sys; shutil.copy(sys.argv[1], {str(tmp_path / 'face.png')!r}); {COPY}"
    alone = {"clip0": samples["clip0"]}
    _, manifest = swap(tmp_path, alone, program=program(tmp_path, code), faces=tmp_path / "faces")
    assert not manifest["noted"]
    assert (load_picture(tmp_path / "face.png") == 77).all()


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("import sys; print('no face here', file=sys.stderr); sys.exit(3)", "exit status 3: no face here"),
        ("pass", "wrote no {output}"),
        ("import sys; open(sys.argv[3], 'w').write('x')", "output cannot be read"),
        ("import time; time.sleep(60)", "longer than 1 s"),
    ],
)
def test_a_program_that_fails_costs_no_clip(
    tmp_path: Path, samples: dict[str, Any], code: str, detail: str
) -> None:
    two = {key: samples[key] for key in ("clip0", "clip1")}
    clips, manifest = swap(tmp_path, two, program=program(tmp_path, code), timeout=1)
    assert manifest["noted"] == {"swap failed": 2} and manifest["out"] == 2
    assert {key: dict(clip.sample()) for key, clip in clips.items()} == two
    assert detail in (tmp_path / "out" / "00000.json").read_text()


def test_a_program_must_keep_the_frames(tmp_path: Path, samples: dict[str, Any]) -> None:
    short = tmp_path / "short.mp4"
    short.write_bytes(encode([np.zeros((96, 96, 3), np.uint8)] * 3))
    code = f"import shutil, sys; shutil.copy({str(short)!r}, sys.argv[3])"
    _, manifest = swap(tmp_path, samples, program=program(tmp_path, code))
    assert manifest["noted"] == {"swap failed": 3}
    assert "(3, 96, 96) instead of (12, 96, 96)" in (tmp_path / "out" / "00000.json").read_text()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"program": "swapper {target} {output}"}, r"lacks \{source\}"),
        ({"program": "no-such-swapper {source} {target} {output}"}, "no-such-swapper is not found"),
        ({"faces": Path("faces")}, "are for a --program"),
        ({"program": "cat {source} {target} {output}", "faces": Path("none")}, "holds no pictures"),
    ],
)
def test_what_cannot_work_is_refused_first(
    tmp_path: Path, samples: dict[str, Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        swap(tmp_path, samples, **changes)
    assert not (tmp_path / "out").exists()
