"""Converting does not hold the files in memory, and written files are what safetensors reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from official_layout import random_states, small_config, write_official
from safetensors.torch import load_file

from megactor_core.models.networks import build_networks
from megactor_core.weights.tensor_files import CHUNK_BYTES, open_tensor_file, write_safetensors

MEASURE = """
import sys
from pathlib import Path
from megactor_core.weights.convert import convert_official

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

convert_official(Path(sys.argv[1]), Path(sys.argv[2]) / "converted_small")
before = peak()
convert_official(Path(sys.argv[3]), Path(sys.argv[2]) / "converted_large")
print(peak() - before)
"""


@pytest.fixture
def large_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied after the test: pytest keeps those of the last runs."""
    yield tmp_path / "large_files"
    shutil.rmtree(tmp_path / "large_files")


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_of_a_conversion_does_not_grow_with_the_file(large_folder: Path) -> None:
    config = small_config()
    write_official(large_folder / "small", config, random_states(config))
    wide = small_config(widths=(192, 576))
    with torch.device("meta"):
        networks = build_networks(wide)
    zeros = {
        name: {key: torch.zeros(tensor.shape) for key, tensor in network.state_dict().items()}
        for name, network in networks.items()
    }
    write_official(large_folder / "large", wide, zeros, with_vae_in_checkpoint=False)
    checkpoint = (large_folder / "large" / "checkpoint-steps9000.ckpt").stat().st_size
    assert checkpoint > 3 * CHUNK_BYTES
    del zeros

    run = subprocess.run(
        [
            sys.executable,
            "-c",
            MEASURE,
            str(large_folder / "small"),
            str(large_folder),
            str(large_folder / "large"),
        ],
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < CHUNK_BYTES + 100e6 < 0.6 * checkpoint


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_written_files_are_read_back_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = {
        "weight": torch.randn(3, 4, dtype=torch.float32).to(dtype),
        "transposed": torch.randn(5, 3, dtype=torch.float32).to(dtype).T,
        "scalar": torch.tensor(2.5, dtype=dtype),
        "empty": torch.empty(0, 3, dtype=dtype),
    }
    path = tmp_path / "tensors.safetensors"

    with open(path, "wb") as file:
        sizes = list(
            write_safetensors(
                file, [(k, tuple(v.shape)) for k, v in tensors.items()], dtype, tensors.values()
            )
        )

    assert sizes == [value.numel() * dtype.itemsize for value in tensors.values()]
    for loaded in (load_file(path), dict(open_tensor_file(path).stream(tensors))):
        assert list(loaded) == list(tensors) or loaded.keys() == tensors.keys()
        assert all(torch.equal(loaded[key], value) for key, value in tensors.items())


def test_checkpoints_in_the_oldest_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.bin"
    torch.save({"weight": torch.arange(6.0)}, path, _use_new_zipfile_serialization=False)

    assert torch.equal(dict(open_tensor_file(path).stream(["weight"]))["weight"], torch.arange(6.0))


def test_a_checkpoint_of_the_old_format_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {str(index): torch.full((100,), float(index)) for index in range(5)}
    torch.save(state, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    file = open_tensor_file(tmp_path / "old.ckpt")
    monkeypatch.setattr("megactor_core.weights.tensor_files.CHUNK_BYTES", 400)
    stream = file.stream(["3", "1", "4"])
    name, tensor = next(stream)
    (tmp_path / "old.ckpt").unlink()  # nothing is opened anew
    assert (name, tensor[0]) == ("3", 3) and [name for name, _ in stream] == ["1", "4"]
