"""Every template opens in the real page as it is, and is the same workflow as its twin in API format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfy_page import ComfyPage
from host_process import HostProcess
from workflow_files import NAMES, provide_host_models, read_graph, read_prompt


def essentials(graph: dict[str, Any]) -> dict[str, Any]:
    """What makes a graph; sizes depend on the fonts of a machine."""
    nodes = {
        node["id"]: {
            name: node.get(name)
            for name in ("type", "title", "pos", "mode", "inputs", "outputs", "properties", "widgets_values")
        }
        for node in graph["nodes"]
    }
    return {"nodes": nodes, "links": graph["links"], "groups": graph["groups"]}


@pytest.mark.parametrize("name", NAMES)
def test_template_opens_as_it_is_and_equals_its_api_twin(
    name: str, open_page: Callable[..., ComfyPage], host_process: HostProcess
) -> None:
    provide_host_models(host_process.base)
    page = open_page()
    graph = read_graph(name)

    page.load_graph(graph)

    assert page.unknown_types() == []
    assert page.errors == []
    assert essentials(page.graph()) == essentials(graph)
    assert page.prompt() == read_prompt(name)


def test_template_browser_shows_all_with_their_pictures(
    open_page: Callable[..., ComfyPage], screenshots: Path
) -> None:
    page = open_page()

    page.browse_templates()

    for name in NAMES:
        card = page.page.get_by_test_id(f"template-workflow-{name}")
        card.scroll_into_view_if_needed()
        # One that is missing is replaced by a picture of the page's own.
        page.page.wait_for_function(
            "picture => picture.naturalWidth > 400 && !picture.src.includes('default')",
            arg=card.locator("img").element_handle(),
        )
    page.page.get_by_role("heading", name="MegActor").scroll_into_view_if_needed()
    page.screenshot(screenshots / "comfyui_templates.png")
