"""Steps over folders of shards: resumed after a kill, never done twice, the same on Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from clip_shards import write_samples
from slow_steps import LogSettings

from megactor_core.dataset.parallel import Executor
from megactor_core.dataset.runner import run_step
from megactor_core.dataset.shards import open_shard
from megactor_core.errors import InputError

SHARDS, CLIPS = 4, 5
HERE = Executor()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(SHARDS):
        samples = {f"clip{index}": {"mp4": bytes([number, index]) * 500} for index in range(CLIPS)}
        write_samples(tmp_path / "in" / f"{number:05d}.tar", samples)
    return tmp_path / "in"


@pytest.fixture
def settings(tmp_path: Path) -> LogSettings:
    return LogSettings(log=tmp_path / "log.txt")


def log(settings: LogSettings) -> list[str]:
    return settings.log.read_text().split() if settings.log.exists() else []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_manifest_counts_what_came_in_and_went_out(
    source: Path, tmp_path: Path, settings: LogSettings
) -> None:
    manifest = run_step(settings, source, tmp_path / "out", HERE)
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["in"], manifest["out"], manifest["finished"]) == (20, 12, True)
    assert manifest["rejected"] == {"odd": 8} and manifest["noted"] == {"zero": 4}
    entries = open_shard(tmp_path / "out" / "00002.tar").entries
    assert [entry.key for entry in entries] == ["clip0", "clip2", "clip4"]
    assert entries[1].sample() == {"mp4": bytes([2, 2]) * 500, "mark": b"x"}
    second = run_step(settings, tmp_path / "out", tmp_path / "out2", HERE)
    assert [step["in"] for step in second["history"]] == [20] and second["in"] == 12


def test_finished_shards_are_not_done_again(source: Path, tmp_path: Path, settings: LogSettings) -> None:
    run_step(settings, source, tmp_path / "out", HERE)
    before, done = contents(tmp_path / "out"), len(log(settings))
    run_step(settings, source, tmp_path / "out", HERE)
    assert contents(tmp_path / "out") == before and len(log(settings)) == done
    (tmp_path / "out" / "00001.tar").unlink()
    changed = open_shard(source / "00003.tar").entries[0]
    write_samples(source / "00003.tar", {"clip0": changed.sample()})
    run_step(settings, source, tmp_path / "out", HERE)
    assert Counter(name.split("/")[0] for name in log(settings)[done:]) == {"00001": CLIPS, "00003": 1}


def test_other_settings_and_other_files_are_refused(
    source: Path, tmp_path: Path, settings: LogSettings
) -> None:
    run_step(settings, source, tmp_path / "out", HERE)
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match="was made with mark x, not y"):
        run_step(settings.model_copy(update={"mark": "y"}), source, tmp_path / "out", HERE)
    assert contents(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds other files"):
        run_step(settings, source, tmp_path / "mine", HERE)
    with pytest.raises(InputError, match="is the --input"):
        run_step(settings, source, source, HERE)
    assert len(list((tmp_path / "mine").iterdir())) == 1


def test_a_damaged_shard_costs_only_what_is_damaged(
    source: Path, tmp_path: Path, settings: LogSettings
) -> None:
    path = source / "00001.tar"
    path.write_bytes(path.read_bytes()[: open_shard(path).entries[3].members["mp4"][0] + 10])
    (source / "00002.tar").write_bytes(b"no tar" * 200)
    manifest = run_step(settings, source, tmp_path / "out", HERE)
    assert manifest["rejected"] == {"odd": 5, "damaged shard": 2}
    assert manifest["out"] == 3 + 2 + 0 + 3
    record = json.loads((tmp_path / "out" / "00001.json").read_text())
    assert any("cut off after 3 samples" in detail for _, _, detail in record["rejected"])


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_loses_nothing_and_repeats_nothing(
    source: Path, tmp_path: Path, settings: LogSettings, workers: int
) -> None:
    slow = settings.model_copy(update={"seconds": 0.04})
    program = (
        "import sys; from pathlib import Path; from slow_steps import LogSettings\n"
        "from megactor_core.dataset.parallel import Executor\n"
        "from megactor_core.dataset.runner import run_step\n"
        "if __name__ == '__main__':\n"
        f"    settings = LogSettings.model_validate_json({slow.model_dump_json()!r})\n"
        f"    folders = Path({str(source)!r}), Path({str(tmp_path / 'out')!r})\n"
        f"    run_step(settings, *folders, Executor({workers}))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    # Until a shard is finished and the next one has been begun.
    while not ((records := list((tmp_path / "out").glob("0*.json"))) and len(log(settings)) % CLIPS):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.stem for path in tmp_path.glob("out/0*.json")}
    assert finished >= {path.stem for path in records} and len(finished) < SHARDS
    kept = {name: (tmp_path / "out" / f"{name}.tar").read_bytes() for name in finished}
    begun = len(log(settings))
    manifest = run_step(slow, source, tmp_path / "out", HERE)
    assert not {name.split("/")[0] for name in log(settings)[begun:]} & finished
    assert manifest["finished"] and (manifest["in"], manifest["out"]) == (20, 12)
    assert all((tmp_path / "out" / f"{name}.tar").read_bytes() == data for name, data in kept.items())
    whole = run_step(slow, source, tmp_path / "unbroken", HERE)
    assert whole == manifest
    assert contents(tmp_path / "unbroken") == contents(tmp_path / "out")


def test_a_killed_worker_ends_in_one_line_and_the_rest_is_kept(
    source: Path, tmp_path: Path, settings: LogSettings
) -> None:
    entry = open_shard(source / "00003.tar").entries[0]
    write_samples(source / "00003.tar", {"deadly8": entry.sample()})
    deadly = settings.model_copy(update={"kill_at": "deadly8"})
    with pytest.raises(InputError, match=r"was killed.*finished shards are kept"):
        run_step(deadly, source, tmp_path / "out", Executor(2))
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["finished"]
    write_samples(source / "00003.tar", {"clip0": entry.sample()})
    manifest = run_step(deadly, source, tmp_path / "out", Executor(2))
    assert manifest["out"] == 10
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_arrives_in_one_line(
    source: Path, tmp_path: Path, settings: LogSettings, workers: int
) -> None:
    refusing = settings.model_copy(update={"refuse_at": "clip4"})
    with pytest.raises(InputError, match=r"clip4: cannot be worked on\. Leave it out\."):
        run_step(refusing, source, tmp_path / "out", Executor(workers))
    assert not list((tmp_path / "out").glob("*.tar")) and not list((tmp_path / "out").glob(".*"))


def test_a_full_disk_leaves_the_finished_shards(source: Path, tmp_path: Path, settings: LogSettings) -> None:
    resource = pytest.importorskip("resource")
    big = {f"clip{index}": {"mp4": bytes(40_000)} for index in (0, 2)}
    write_samples(source / "00002.tar", big)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(InputError, match=r"out/00002\.tar: cannot be written.*Free some space"):
            run_step(settings, source, tmp_path / "out", HERE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.json", "00000.tar", "00000.json", "00001.tar", "00001.json"}
    done = len(log(settings))
    manifest = run_step(settings, source, tmp_path / "out", HERE)
    assert manifest["finished"] and manifest["out"] == 3 * 3 + 2
    assert {name.split("/")[0] for name in log(settings)[done:]} == {"00002", "00003"}


def test_ray_gives_the_same_shards(
    source: Path, tmp_path: Path, settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    here = run_step(settings, source, tmp_path / "here", HERE)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        assert run_step(settings, source, tmp_path / "ray", Executor(ray="")) == here
        assert contents(tmp_path / "ray") == contents(tmp_path / "here")
        # A worker that dies is started again by Ray.
        entry = open_shard(source / "00003.tar").entries[0]
        write_samples(source / "00003.tar", {"deadly8": entry.sample()})
        deadly = settings.model_copy(update={"kill_at": "deadly8", "kills": 1})
        assert run_step(deadly, source, tmp_path / "killed", Executor(ray=""))["out"] == 10
        assert log(settings).count("00003/deadly8") == 2
        refusing = settings.model_copy(update={"refuse_at": "clip2"})
        with pytest.raises(InputError, match="clip2: cannot be worked on"):
            run_step(refusing, source, tmp_path / "refused", Executor(ray=""))
        greedy = settings.model_copy(update={"gpus_needed": 1})
        with pytest.raises(InputError, match="the cluster has no GPU"):
            run_step(greedy, source, tmp_path / "greedy", Executor(ray=""))
    finally:
        ray.shutdown()


def test_a_ray_cluster_that_is_not_there_is_told(
    source: Path, tmp_path: Path, settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match="no Ray cluster that can be reached"):
        run_step(settings, source, tmp_path / "out", Executor(ray="auto"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install ray"):
        run_step(settings, source, tmp_path / "out", Executor(ray=""))
