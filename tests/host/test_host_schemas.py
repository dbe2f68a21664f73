"""What artists read of each node: names, tooltips and where to find it."""

from __future__ import annotations

from typing import Any

import pytest
from host_client import Host

NODES = {
    "MegActorLoadModel",
    "MegActorLoadLora",
    "MegActorSegmentReference",
    "MegActorControlStrength",
    "MegActorEncodeAudio",
    "MegActorMotionAmplitude",
    "MegActorEncodeReference",
    "MegActorEncodeBackground",
    "MegActorPrepareDriving",
    "MegActorEncodeDriving",
    "MegActorSampler",
    "MegActorApply",
    "MegActorPasteBack",
    "MegActorAnimatePortrait",
    "MegActorExampleInputs",
}
"""Saved workflows name them: none may ever be renamed."""


@pytest.fixture
def schemas(host: Host) -> dict[str, Any]:
    return host.pack_schemas()


def inputs_of(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name of an input to its options."""
    kinds = [schema["input"].get(kind, {}) for kind in ("required", "optional")]
    return {
        name: (declared[1] if len(declared) > 1 else {}) for kind in kinds for name, declared in kind.items()
    }


def test_every_node_is_there(schemas: dict[str, Any]) -> None:
    assert set(schemas) == NODES


def test_every_input_and_output_explains_itself(schemas: dict[str, Any]) -> None:
    silent = [
        f"{name}.{key}"
        for name, schema in schemas.items()
        for key, options in inputs_of(schema).items()
        if not options.get("tooltip")
    ]
    silent += [
        f"{name}.{key}"
        for name, schema in schemas.items()
        for key, tooltip in zip(
            schema["output_name"], schema["output_tooltips"] or [None] * len(schema["output"]), strict=True
        )
        if not tooltip
    ]
    assert silent == []


def test_every_node_can_be_found(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        assert schema["category"] == "MegActor", name
        assert schema["display_name"] not in ("", name), name
        assert schema["description"], name
        assert schema["search_aliases"], name


def test_every_default_is_a_legal_value(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        for key, options in inputs_of(schema).items():
            place = f"{name}.{key}"
            if "default" in options and "options" in options:
                assert options["default"] in options["options"], place
            elif "default" in options and "min" in options:
                assert options["min"] <= options["default"] <= options["max"], place
