"""The page speaks every language of the pack wholly, and says in English what the nodes' schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from host_client import Host
from host_process import REPOSITORY

LANGUAGES = sorted(path.name for path in (REPOSITORY / "locales").iterdir())


def keys(texts: Mapping[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    """Paths of all texts that are not empty."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from keys(value, *path, key)
        elif value:
            yield (*path, key)


def described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A node's texts as its schema has them, in the form of a locale."""
    inputs = {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}
    outputs = zip(schema["output_name"], schema["output_tooltips"], strict=True)
    return {
        "display_name": schema["display_name"],
        "description": schema["description"],
        "inputs": {n: {"name": n, "tooltip": options["tooltip"]} for n, (_, options) in inputs.items()},
        "outputs": {str(i): {"name": n, "tooltip": tooltip} for i, (n, tooltip) in enumerate(outputs)},
    }


def types_of(schemas: Mapping[str, Any]) -> set[str]:
    """The pack's own wire types."""
    outputs = {kind for schema in schemas.values() for kind in schema["output"]}
    return {kind for kind in outputs if kind.startswith("MEGACTOR_")}


def test_english_and_chinese_are_there() -> None:
    assert LANGUAGES == ["en", "zh"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_has_a_text_for_all_that_is_read_and_none_that_is_stale(language: str, host: Host) -> None:
    schemas = host.pack_schemas()

    told = host.get("/i18n")[language]

    wanted = set(keys({name: described(schema) for name, schema in schemas.items()}))
    given = {path for path in keys(told["nodeDefs"]) if path[0] in schemas or path[0].startswith("MegActor")}
    assert wanted - given == set(), "run scripts/make_locale.py and translate"
    assert given - wanted == set(), "stale"
    assert {kind for kind in told["dataTypes"] if kind.startswith("MEGACTOR_")} == types_of(schemas)
    assert set(told["nodeCategories"]) >= {schema["category"] for schema in schemas.values()}


def test_english_is_what_the_schemas_say(host: Host) -> None:
    told = json.loads((REPOSITORY / "locales" / "en" / "nodeDefs.json").read_text())

    for name, schema in host.pack_schemas().items():
        assert {"inputs": {}, **told[name]} == described(schema), "run scripts/make_locale.py"


def test_chinese_is_chinese() -> None:
    texts = json.loads((REPOSITORY / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))

    tooltips = [part["tooltip"] for node in texts.values() for part in node["outputs"].values()]
    for text in [*tooltips, *(node["description"] for node in texts.values())]:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text), text
