"""Fixtures of the tests in a browser; they are skipped where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_page import ComfyPage, find_browser, launch
from host_process import HostProcess
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = launch(playwright, program)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, host_process: HostProcess) -> Iterator[Callable[..., ComfyPage]]:
    """Opens the host's page with settings; closed after the test."""
    pages: list[ComfyPage] = []

    def open_one(**settings: Any) -> ComfyPage:
        pages.append(ComfyPage(browser, host_process.url, settings))
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures of the page go: into the folder that SCREENSHOTS names, to look at or to publish."""
    return Path(os.environ.get("SCREENSHOTS", tmp_path))
