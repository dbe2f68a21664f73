"""Every node has a help page with a picture in every language of the pack, where the page looks for it."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from host_client import Host
from host_process import REPOSITORY
from PIL import Image

FOLDER = "/extensions/MegActor/docs"
LARGEST_PICTURE = 150 * 1024


def page(host: Host, name: str, language: str) -> str:
    """A help page; the page takes what has no language for English."""
    place = f"{name}.md" if language == "en" else f"{name}/{language}.md"
    answer = host.http.get(f"{FOLDER}/{place}")
    assert answer.status_code == 200, f"{place} is missing"
    return answer.content.decode()


def names(schema: dict[str, Any]) -> set[str]:
    """All inputs and outputs of a node."""
    inputs = {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}
    return {*inputs, *schema["output_name"]}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_page_explains_the_whole_node_and_shows_a_picture(language: str, host: Host) -> None:
    titles = json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    for name, schema in host.pack_schemas().items():
        text = page(host, name, language)

        assert text.startswith(f"# {titles[name]['display_name']}\n"), name
        unexplained = {one for one in names(schema) if f"| `{one}`" not in text}
        assert unexplained == set(), name
        pictures = re.findall(r"!\[.+\]\((.+)\)", text)
        assert pictures, f"{name} has no picture"
        for picture in pictures:
            answer = host.http.get(f"{FOLDER}/{picture}")
            assert answer.status_code == 200 and len(answer.content) <= LARGEST_PICTURE, picture
            Image.open(io.BytesIO(answer.content)).verify()


def test_no_help_page_is_of_a_node_that_is_gone(host: Host) -> None:
    folder = REPOSITORY / "web" / "docs"
    pages = {path.stem for path in folder.glob("*.md")} | {path.parent.name for path in folder.glob("*/*.md")}
    pictures = {path.stem for path in (folder / "images").iterdir()}

    assert pages == pictures == set(host.pack_schemas())
