"""Every node has a help page in both languages that names all its inputs and outputs and shows pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "web" / "docs"
LARGEST_PICTURE = 150_000
"""Bytes; a page should open at once."""


def nodes_in(language: str) -> dict[str, Any]:
    """Texts of all nodes, which tests in the host compare with the nodes themselves."""
    path = REPOSITORY / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8"))


NODES = sorted(nodes_in("en"))
PAGES = [(language, node) for language in ("en", "zh") for node in NODES]


def page_path(language: str, node: str) -> Path:
    """The English page stands for all languages that have none of their own."""
    return DOCS / f"{node}.md" if language == "en" else DOCS / node / f"{language}.md"


def page(language: str, node: str) -> str:
    return page_path(language, node).read_text(encoding="utf-8")


@pytest.mark.parametrize(("language", "node"), PAGES)
def test_a_page_speaks_of_the_node_as_it_is(language: str, node: str) -> None:
    texts, text = nodes_in(language)[node], page(language, node)
    assert text.startswith(f"# {texts['display_name']}\n")
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    for key, part in texts["inputs"].items():
        assert any(f"`{key}`" in row for row in rows), key
        assert part["tooltip"] in text, key
    for part in texts["outputs"].values():
        assert part["tooltip"] in text, part["name"]


@pytest.mark.parametrize(("language", "node"), PAGES)
def test_pictures_are_there_and_small(language: str, node: str) -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", page(language, node))
    assert pictures
    for name in pictures:
        path = DOCS / name  # the host's page looks here, whatever the page's own folder is
        assert path.stat().st_size < LARGEST_PICTURE
        with Image.open(path) as picture:
            picture.verify()


def test_no_page_or_picture_is_left_over() -> None:
    pages = {page_path(language, node) for language, node in PAGES}
    assert set(DOCS.rglob("*.md")) == pages
    used = {
        DOCS / name
        for language, node in PAGES
        for name in re.findall(r"\]\((images/.+?)\)", page(language, node))
    }
    assert set((DOCS / "images").iterdir()) == used
