"""Checkpoints appear whole, the last ones are kept, and damage costs one checkpoint at most."""

from __future__ import annotations

import pytest
import torch

from megactor_core.errors import InputError
from megactor_core.training.engine import checkpoint as module
from megactor_core.training.engine.checkpoint import Checkpoint, CheckpointFolder


def saved(step: int) -> Checkpoint:
    return Checkpoint(step, {"networks": {"weight": torch.full((64,), float(step))}}, {"seed": 1})


def accept(path, state):
    pass


@pytest.fixture
def folder(tmp_path):
    words: list[str] = []
    result = CheckpointFolder(tmp_path / "checkpoints", kept=2, warn=words.append)
    result.words = words
    return result


def test_the_last_ones_are_kept(folder):
    for step in (1, 2, 3):
        folder.save(saved(step))
    assert [path.name for path in folder.paths()] == ["step_00000002", "step_00000003"]
    latest = folder.latest(accept)
    assert latest.step == 3 and latest.tensors["networks"]["weight"][0] == 3 and latest.state == {"seed": 1}


@pytest.mark.parametrize("file", ["networks.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_checkpoint_is_skipped_with_a_word(folder, file, damage):
    folder.save(saved(1))
    path = folder.save(saved(2)) / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 0xFF]) + content[-8:])
    assert folder.latest(accept).step == 1
    assert "step_00000002 is damaged" in folder.words[0]


def test_what_a_killed_process_left_half_written_is_removed(folder):
    folder.save(saved(1))
    left = folder.folder / ".step_00000002.partial"
    left.mkdir()
    (left / "networks.safetensors").touch()
    assert folder.latest(accept).step == 1
    folder.save(saved(3))
    assert [path.name for path in sorted(folder.folder.iterdir())] == ["step_00000001", "step_00000003"]


def test_a_failed_save_leaves_the_last_good_one_alone(folder, monkeypatch):
    folder.save(saved(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(InputError, match=r"step 2 cannot be written: .*No space left"):
        folder.save(saved(2))
    assert [path.name for path in folder.folder.iterdir()] == ["step_00000001"]
    assert folder.latest(accept).step == 1
