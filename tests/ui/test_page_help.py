"""A node's help opens beside the graph, with its picture, in the language of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from comfy_page import ComfyPage
from workflow_files import read_graph


@pytest.mark.parametrize(("language", "heading"), [("en", "Apply MegActor"), ("zh", "应用 MegActor")])
def test_help_opens_with_its_picture(
    language: str, heading: str, open_page: Callable[..., ComfyPage], screenshots: Path
) -> None:
    page = open_page(**{"Comfy.Locale": language})
    page.load_graph(read_graph("3_ksampler_native_model"))

    page.open_help("MegActorApply")

    page.page.get_by_role("heading", name=heading).first.wait_for()
    picture = page.page.locator('img[src$="docs/images/MegActorApply.png"]')
    picture.wait_for()
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 100
    page.screenshot(screenshots / f"comfyui_help_{language}.png")
