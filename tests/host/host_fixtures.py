"""Fixtures ``host`` and ``host_process``: one ComfyUI for all tests that ask for it. A pytest plugin."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from host_client import Host
from host_process import HostProcess
from xdist.scheduler import LoadScopeScheduling

LOG_START = pytest.StashKey[int]()
LOG_SHOWN = 12000
"""Characters of the host's log that are shown with a failed test."""


@pytest.fixture(scope="session")
def _session_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    process = HostProcess(tmp_path_factory.mktemp("host"))
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.fixture
def host_process(_session_host: HostProcess, request: pytest.FixtureRequest) -> HostProcess:
    """The running host's process, log and folders; started again where a test has ended it."""
    if not _session_host.running:
        _session_host.start()
    request.node.stash[LOG_START] = _session_host.log_file.stat().st_size
    return _session_host


@pytest.fixture
def host(host_process: HostProcess) -> Iterator[Host]:
    """The running host, with the pack in it."""
    client = Host(host_process.url)
    with client.http:
        yield client


class OneHostScheduling(LoadScopeScheduling):
    """Hands the tests out one by one, but all that need the host to the same worker.

    A host takes seconds to start and half a gigabyte. Marks of xdist's own groups get lost in pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "host" if nodeid.startswith(("tests/host/", "tests/ui/")) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneHostScheduling:
    return OneHostScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the host wrote during a test that failed."""
    report = yield
    process = getattr(item, "funcargs", {}).get("host_process")
    if report.failed and process is not None and LOG_START in item.stash:
        report.sections.append(("ComfyUI's log", process.log(item.stash[LOG_START])[-LOG_SHOWN:]))
    return report
