"""The recipe for a GPU: every step of it, with tiny pictures on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from megactor_core.weights.loading import load_model

ROOT = Path(__file__).parents[2]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "QUICK": "1", "PYTHON": sys.executable}
    command = ["scripts/train_demo_gpu.sh", str(folder / "model"), str(folder / "runs")]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def test_it_ends_in_a_model_of_few_small_files_and_replaces_none(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first.returncode == 0, first.stderr
    files = [path for path in (tmp_path / "model").iterdir()]
    assert len(files) <= 8 and all(path.stat().st_size <= 16e6 for path in files)
    assert load_model(tmp_path / "model").config.defaults.size == 128
    assert "samples/s" in first.stdout and "demo_stage2" in first.stdout
    refused = run(tmp_path)
    assert refused.returncode == 2 and "holds a model already" in refused.stderr
