"""The page's texts in both languages belong to the nodes as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.make_locales import node_texts, pack_schemas

LOCALES = Path(__file__).parents[2] / "locales"
LANGUAGES = ("en", "zh")


def read(language: str, name: str) -> Any:
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


def flat(texts: Any, key: str = "") -> dict[str, str]:
    """Every text by its keys, joined with dots."""
    if isinstance(texts, str):
        return {key: texts}
    return {
        name: text for part, inner in texts.items() for name, text in flat(inner, f"{key}.{part}").items()
    }


@pytest.fixture(scope="module")
def schemas() -> list[Any]:
    return pack_schemas()


def test_english_is_what_the_nodes_say(schemas: list[Any]) -> None:
    """If not: scripts/make_locales.py."""
    assert read("en", "nodeDefs.json") == {schema.node_id: node_texts(schema) for schema in schemas}


def test_chinese_has_the_same_keys() -> None:
    english, chinese = flat(read("en", "nodeDefs.json")), flat(read("zh", "nodeDefs.json"))
    assert list(chinese) == list(english)
    assert [key for key, text in chinese.items() if not text.strip()] == []
    untranslated = {key for key in english if key.endswith((".tooltip", ".description"))}
    assert [key for key in untranslated if chinese[key] == english[key]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_category_has_a_name(schemas: list[Any], language: str) -> None:
    assert set(read(language, "main.json")["nodeCategories"]) == {schema.category for schema in schemas}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_holds_signs_that_mean_something_to_the_page(language: str) -> None:
    """It reads ``{name}``, ``@:key`` and ``one | many`` as its own."""
    texts = flat(read(language, "nodeDefs.json"))
    assert [key for key, text in texts.items() if set(text) & set("{}@|")] == []
