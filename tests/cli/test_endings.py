"""However a command is ended, its exit status says so without a traceback, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from clip_shards import write_puppet_shards
from tiny_model import write_driver

if TYPE_CHECKING:
    from conftest import Job

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and descriptors")


def start(*words: object, **options: object) -> subprocess.Popen[bytes]:
    """A command as a shell starts it, in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "", **options.pop("env", {})}  # type: ignore[dict-item]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-m", "megactor_core", *map(str, words)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        # A test that runs in the background may have inherited that the signals are ignored.
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)],
        start_new_session=True,
        **streams,  # type: ignore[arg-type]
    )  # type: ignore[call-overload]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Exit status and what was said on both streams, which holds no traceback."""
    said = (stream or b"" for stream in process.communicate(timeout=120))
    out, error = (stream.decode(errors="replace") for stream in said)
    assert "Traceback" not in error and "Exception ignored" not in error, error
    return process.returncode, out, error


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)


def being_written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.fixture
def long_job(job: Job) -> tuple[Job, list[str]]:
    """An animation that takes minutes to sample."""
    write_driver(job.folder / "long.mp4", 100)
    arguments = {**job.arguments, "--driving": str(job.folder / "long.mp4"), "--steps": "999"}
    return job, ["animate", *(part for pair in arguments.items() for part in pair)]


@pytest.mark.parametrize(
    ("signals", "status", "line"),
    [
        ([signal.SIGTERM], 143, "stopped by SIGTERM"),
        ([signal.SIGHUP], 129, "stopped by SIGHUP"),
        ([signal.SIGINT, signal.SIGINT], 130, "stopped by the user"),
    ],
    ids=["SIGTERM", "SIGHUP", "Ctrl-C twice"],
)
def test_a_signal_leaves_nothing(
    long_job: tuple[Job, list[str]],
    tmp_path_factory: pytest.TempPathFactory,
    signals: Sequence[signal.Signals],
    status: int,
    line: str,
) -> None:
    job, words = long_job
    before = job.files()
    with open(tmp_path_factory.mktemp("said") / "error.txt", "w+b") as said:
        process = start(*words, stderr=said)
        wait_for(lambda: b"sampling" in Path(said.name).read_bytes(), process)
        for number in signals:
            os.killpg(process.pid, number)
        out = process.communicate(timeout=60)[0]
        error = Path(said.name).read_text()
    assert (process.returncode, out) == (status, b"") and error.splitlines()[-1] == line
    assert "Traceback" not in error
    assert job.files() == before


@pytest.fixture
def swapping(tmp_path: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process], Path]:
    """A dataset step whose two workers wait for programs that take minutes; its processes; its files."""
    shards = write_puppet_shards(tmp_path / "in", clips=2, shards=2, frames=8, swapped=False)
    (tmp_path / "temporary").mkdir()
    program = f"{sys.executable} -c 'import time; time.sleep(600)' {{source}} {{target}} {{output}}"
    words = ("dataset", "swap", "--input", shards, "--output", tmp_path / "out", "--workers", 2)
    process = start(*words, "--program", program, env={"TMPDIR": str(tmp_path / "temporary")})
    begun: list[psutil.Process] = []

    def work_begun() -> bool:
        begun[:] = psutil.Process(process.pid).children(recursive=True)
        return sum("time.sleep(600)" in " ".join(one.cmdline()) for one in begun) == 2

    wait_for(work_begun, process)
    return process, begun, tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_command(
    swapping: tuple[subprocess.Popen[bytes], list[psutil.Process], Path], number: signal.Signals
) -> None:
    process, begun, folder = swapping
    (process.send_signal if number != signal.SIGINT else lambda n: os.killpg(process.pid, n))(number)
    code, out, error = ended(process)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert not psutil.wait_procs(begun, timeout=20)[1]
    assert out == "" and not being_written(folder / "out") and not list((folder / "temporary").iterdir())
    if number != signal.SIGKILL:
        line = {signal.SIGTERM: "stopped by SIGTERM", signal.SIGINT: "stopped by the user"}[number]
        assert error.splitlines()[-1] == line


@pytest.mark.parametrize("command", ["--help", "animate --help", "evaluate self --help", "weights list"])
def test_an_output_that_nobody_reads(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, _, error = ended(start(*command.split(), stdout=writing))
    os.close(writing)
    assert (code, error) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_without_room(unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        code, _, error = ended(start("weights", "list", stdout=full, env={"PYTHONUNBUFFERED": unbuffered}))
    assert code == 2
    assert (
        error
        == "error: standard output: cannot be written (no space left on device). Give it a place with room.\n"
    )


def test_closed_outputs(job: Job) -> None:
    """A shell's ``>&- 2>&-``: the work is done, and what would be printed does not come into its files."""
    words = [part for pair in {**job.arguments, "--steps": "1", "--size": "64"}.items() for part in pair]
    command = [sys.executable, "-m", "megactor_core", "animate", *words]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=ROOT, timeout=120)
    assert done.returncode == 0 and job.output.stat().st_size > 1000


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_cannot_show_a_name(job: Job, encoding: str) -> None:
    output = job.folder / os.fsdecode("日本é".encode() + b"\xe9.mp4")
    arguments = {**job.arguments, "--steps": "1", "--size": "64", "--output": str(output)}
    words = [part for pair in arguments.items() for part in pair]
    code, out, error = ended(start("animate", *words, env={"PYTHONIOENCODING": encoding}))
    assert code == 0, error
    assert output.is_file() and "\\udce9.mp4" in out.splitlines()[-1]
    code, out, error = ended(start("animate", *words, env={"PYTHONIOENCODING": encoding}))
    assert (code, out) == (2, "") and "exists already" in error
