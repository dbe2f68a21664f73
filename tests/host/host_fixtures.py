"""Fixtures ``host`` and ``host_process``: one ComfyUI for all tests that ask for it. A pytest plugin."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from host_client import Host
from host_process import HostProcess

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


# First, since xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what needs the host on one xdist worker: a host takes seconds to start and half a gigabyte."""
    folders = (Path(__file__).parent, Path(__file__).parent.parent / "ui")
    for item in items:
        if item.path.parent in folders:
            item.add_marker(pytest.mark.xdist_group("host"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the host wrote during a test that failed."""
    report = yield
    process = getattr(item, "funcargs", {}).get("host_process")
    if report.failed and process is not None and LOG_START in item.stash:
        report.sections.append(("ComfyUI's log", process.log(item.stash[LOG_START])[-LOG_SHOWN:]))
    return report
