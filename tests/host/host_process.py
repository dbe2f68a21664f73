"""A ComfyUI process for tests: made by ``make host``, run in a folder of its own, gone when the tests are."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = REPOSITORY / ".host"
"""Made by ``make host``."""
COMPANION = Path(__file__).parent / "companion"
START_LIMIT = 180.0
"""Seconds a start may take; 6 to 9 on an idle machine."""


class HostFailure(Exception):
    """The host is missing, did not start, or ended; with the end of its log where there is one."""


class HostProcess:
    """One host on a free port of this machine, with the pack linked in.

    Args:
        base: new folder for its models, input, output, custom_nodes and user files.
        environment: set beside the process's own environment variables.
        arguments: added to its command line.
    """

    def __init__(
        self, base: Path, environment: Mapping[str, str] | None = None, arguments: tuple[str, ...] = ()
    ) -> None:
        if not (HOST / "ready").is_file():
            raise HostFailure(f"there is no ComfyUI to test in ({HOST} is not ready): run `make host`")
        self.base = base
        self.log_file = base / "host.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("models", "input", "output", "custom_nodes", "user"):
            (base / name).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / "MegActor").symlink_to(REPOSITORY, target_is_directory=True)
        (base / "custom_nodes" / COMPANION.name).symlink_to(COMPANION, target_is_directory=True)
        # Nothing answers at this proxy: what asks the network fails, as it would for a user who is offline.
        offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
        offline["no_proxy"] = "127.0.0.1,localhost"
        offline |= {name.upper(): value for name, value in offline.items()}
        self._environment = {**os.environ, **offline, **(environment or {})}
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        assert self._process is not None, "the host was not started"
        return self._process.pid

    def log(self, start: int = 0) -> str:
        """What the host wrote, from this byte on."""
        with self.log_file.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def start(self) -> None:
        """Start and wait until it answers; its log goes on where it ended."""
        command = [HOST / "environment" / "bin" / "python", HOST / "ComfyUI" / "main.py"]
        command += ["--cpu", "--listen", "127.0.0.1", "--port", self.port, "--base-directory", self.base]
        command += ["--disable-auto-launch", "--disable-api-nodes", "--preview-method", "auto"]
        command += [
            "--log-stdout",
            "--database-url",
            f"sqlite:///{self.base}/user/comfyui.db",
            *self._arguments,
        ]
        environment = {**self._environment, "TEST_COMPANION_PARENT": str(os.getpid())}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.base,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_LIMIT
        while not self._answers():
            if not self.running:
                raise HostFailure(f"ComfyUI ended while it started:\n{self.log()[-8000:]}")
            if time.monotonic() > deadline:
                self.stop()
                raise HostFailure(f"ComfyUI did not start in {START_LIMIT:.0f} s:\n{self.log()[-8000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, whatever it does; nothing happens where it has ended already."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"{self.url}/system_stats", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
