"""Every number of every node: what lies outside of its range is refused, by the host or by the node."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from family_models import provide_tiny_models, tiny_name, write_tiny_lora
from host_client import Host, Rejected
from host_graphs import Graph, clip_graph, node
from host_process import HostProcess

HOSTILE = ("nan", "inf", "-inf", -1e30, 1e30, 2**70, "many", "", [], {}, None)
"""JSON has no NaN: as text it passes the host's own look at types and ranges."""
UNUSED = {"smoothing"}
"""Only read where a face is followed, and checked there."""
LORA = "hostile.safetensors"


def hostile_graph() -> Graph:
    """A clip that speech alone drives, with the nodes of the pack that have numbers."""
    graph = clip_graph(steps=1)
    graph["amplitude"] = node(
        "MegActorMotionAmplitude",
        **dict.fromkeys(("speech", "head_motion", "expression", "blink", "sway"), 1.0),
        **dict.fromkeys(("speech_keyframes", "head_motion_keyframes", "expression_keyframes"), ""),
    )
    strengths = {f"{part}_strength": 1.0 for part in ("face", "patch")}
    starts = {f"{part}_start_percent": 0.0 for part in ("face", "patch")}
    ends = {f"{part}_end_percent": 1.0 for part in ("face", "patch")}
    graph["strength"] = node("MegActorControlStrength", **strengths, **starts, **ends)
    graph["lora"] = node("MegActorLoadLora", model=["model", 0], lora=LORA, strength=1.0)
    graph["sound"] = node("GetVideoComponents", video=["example", 1])
    graph["heard"] = node(
        "MegActorEncodeAudio", model=["model", 0], audio=["sound", 1], frame_rate=25.0, num_frames=4
    )
    prepare = graph["prepare"]["inputs"]
    del prepare["video"]
    prepare |= {
        "audio": ["sound", 1],
        "portrait": ["segment", 0],
        "mode": "auto",
        "best_frame": -1,
        "seed": 1,
    }
    prepare["amplitude"] = ["amplitude", 0]
    del graph["sampler"]["inputs"]["background"], graph["background"]
    graph["sampler"]["inputs"] |= {"amplitude": ["amplitude", 0], "audio": ["heard", 0], "model": ["lora", 0]}
    graph["seen"] = node("PreviewAny", source=["strength", 0])
    graph["model"]["inputs"]["model"] = tiny_name("megactor-sigma")
    return graph


def numbers(host: Host, graph: Graph) -> Iterator[tuple[str, str]]:
    """Nodes of the graph, and their widgets that hold a number or keyframes."""
    schemas = host.pack_schemas()
    for name, one in graph.items():
        for kind in ("required", "optional"):
            for widget, spec in schemas.get(one["class_type"], {"input": {}})["input"].get(kind, {}).items():
                if widget in one["inputs"] and (spec[0] in ("INT", "FLOAT") or "keyframes" in widget):
                    yield name, widget


def refused(host: Host, graph: Graph) -> bool:
    """Whether a prompt is refused: by the host, or by a node in one line."""
    try:
        failure = host.run(graph).failure
    except Rejected:
        return True
    if failure is None:
        return False
    assert failure.exception.endswith("InputError") and "\n" not in failure.message.strip(), failure
    return True


@pytest.fixture
def graph(host_process: HostProcess, host: Host) -> Iterator[Graph]:
    provide_tiny_models(host_process.base)
    write_tiny_lora(host_process.base, "megactor-sigma", LORA)
    yield hostile_graph()
    # The host's list of jobs would hold numbers that are none, which the page cannot read.
    host.post("/history", {"clear": True})


def test_no_hostile_number_runs(host: Host, graph: Graph) -> None:
    assert host.run(graph).failure is None
    found = list(numbers(host, graph))
    assert len(found) > 30
    ran = []
    for name, widget in found:
        for value in HOSTILE:
            changed = json.loads(json.dumps(graph))
            changed[name]["inputs"][widget] = value
            if not refused(host, changed) and widget not in UNUSED:
                ran.append((name, widget, value))
    # Empty keyframes are none.
    assert [one for one in ran if not (one[1].endswith("keyframes") and one[2] == "")] == []


@pytest.mark.parametrize(("place", "value"), [("face_start_percent", 2.0), ("patch_end_percent", 2.0)])
def test_a_share_out_of_range_is_told_once(host: Host, graph: Graph, place: str, value: float) -> None:
    graph["strength"]["inputs"][place] = value
    with pytest.raises(Rejected) as caught:
        host.run(graph)
    assert len(caught.value.node_errors["strength"]["errors"]) == 1


def test_every_number_has_a_smallest_and_a_largest(host: Host) -> None:
    for name, schema in host.pack_schemas().items():
        for kind in ("required", "optional"):
            for widget, spec in schema["input"].get(kind, {}).items():
                if spec[0] in ("INT", "FLOAT"):
                    assert spec[1].get("forceInput") or {"min", "max"} <= spec[1].keys(), f"{name}.{widget}"
