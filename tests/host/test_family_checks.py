"""What a model's family cannot use is said on the node before anything is loaded, one line per node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from family_models import provide_tiny_models, tiny_name
from host_client import Host, NodeFailure, Rejected
from host_graphs import Graph, clip_graph, node
from host_process import HostProcess
from test_animate_portrait import animation_graph

MEGACTOR, SIGMA, XPORTRAIT = "megactor", "megactor-sigma", "xportrait"
BASE = "another.safetensors"
STEPS = {
    "amplitude": node(
        "MegActorMotionAmplitude",
        speech=1.0,
        head_motion=1.0,
        expression=1.0,
        blink=1.0,
        sway=1.0,
        speech_keyframes="",
        head_motion_keyframes="",
        expression_keyframes="",
    ),
    "strength": node(
        "MegActorControlStrength",
        face_strength=1.0,
        face_start_percent=0.0,
        face_end_percent=1.0,
        patch_strength=1.0,
        patch_start_percent=0.0,
        patch_end_percent=1.0,
    ),
    "sound": node("GetVideoComponents", video=["example", 1]),
    "heard": node(
        "MegActorEncodeAudio", model=["model", 0], audio=["sound", 1], frame_rate=25.0, num_frames=4
    ),
    "background": node("MegActorEncodeBackground", model=["model", 0], background=["segment", 2]),
    "empty": node("EmptyLatentImage", width=64, height=64, batch_size=4),
    "lora": node("MegActorLoadLora", model=["model", 0], lora="", strength=1.0),
    "faces": node("TestFaces", width=256, height=256, num_frames=64),
    "name": node("TestAnything", text=tiny_name(SIGMA)),
}
"""Nodes that the tests link to the graph of the demo; a prompt may hold more than its outputs need."""


@pytest.fixture(autouse=True)
def tiny_models(host_process: HostProcess) -> None:
    provide_tiny_models(host_process.base)
    (host_process.base / "models" / "checkpoints").mkdir(exist_ok=True)
    (host_process.base / "models" / "checkpoints" / BASE).touch()


def family_graph(family: str, changes: Mapping[str, Any]) -> Graph:
    """The full graph as a family wants it, with inputs NODE.INPUT changed; None removes one."""
    graph = {name: node(one["class_type"], **one["inputs"]) for name, one in (clip_graph() | STEPS).items()}
    graph["model"]["inputs"]["model"] = tiny_name(family)
    graph["prepare"]["inputs"]["mode"] = "auto"
    if family != MEGACTOR:
        del graph["sampler"]["inputs"]["background"]
    if family == XPORTRAIT:
        graph["driving"]["inputs"]["patches"] = ["prepare", 5]
    for place, value in changes.items():
        name, _, given = place.partition(".")
        if value is None:
            del graph[name]["inputs"][given]
        else:
            graph[name]["inputs"][given] = value
    return graph


def refusals(host: Host, graph: Graph) -> dict[str, list[str]]:
    """What the host says of each node of a prompt that it refuses, and nothing was loaded for it."""
    host.free()
    with host.connect() as page, pytest.raises(Rejected) as caught:
        page.queue(graph)
    assert caught.value.error["type"] == "prompt_outputs_failed_validation"
    assert host.loaded_models() == []
    return {
        name: [error["details"].partition(" - ")[2] for error in told["errors"]]
        for name, told in caught.value.node_errors.items()
    }


def failed(host: Host, graph: Graph) -> NodeFailure:
    failure = host.run(graph).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("family", "changes", "name", "line"),
    [
        (MEGACTOR, {"sampler.audio": ["heard", 0]}, "heard", "speech: a model of the family megactor cannot"),
        (
            MEGACTOR,
            {"sampler.background": None},
            "sampler",
            "background: a model of the family megactor",
        ),
        (MEGACTOR, {"sampler.control_strength": ["strength", 0]}, "sampler", "megactor has no ControlNets"),
        (MEGACTOR, {"sampler.start_latent": ["empty", 0]}, "sampler", "megactor starts from noise alone"),
        (
            MEGACTOR,
            {"amplitude.speech": 0.5, "sampler.amplitude": ["amplitude", 0]},
            "sampler",
            "speech: a model of the family megactor cannot use it",
        ),
        (
            MEGACTOR,
            {"prepare.mode": "eyes"},
            "prepare",
            "driving mode eyes: is not for a model",
        ),
        (MEGACTOR, {"prepare.best_frame": 3}, "prepare", "best frame 3: a model of the family megactor has"),
        (MEGACTOR, {"prepare.fixed_patches": True}, "prepare", "fixed patches: a model of the family"),
        (MEGACTOR, {"prepare.video": None}, "prepare", "video: nothing is linked that could drive"),
        (
            MEGACTOR,
            {"prepare.video": None, "prepare.portrait": ["segment", 0]},
            "prepare",
            "video: nothing is linked that could drive",
        ),
        (MEGACTOR, {"model.base": BASE}, "model", "base: a model of the family megactor was trained as"),
        (SIGMA, {"sampler.background": ["background", 0]}, "background", "megactor-sigma does not read it"),
        (SIGMA, {"sampler.control_strength": ["strength", 0]}, "sampler", "sigma has no ControlNets"),
        (SIGMA, {"prepare.mode": "plain"}, "prepare", "driving mode plain: is not for"),
        (
            SIGMA,
            {"prepare.best_frame": -2},
            "prepare",
            "best frame off: a model of the family",
        ),
        (SIGMA, {"prepare.video": None}, "prepare", "or portrait and audio"),
        (XPORTRAIT, {"sampler.background": ["background", 0]}, "background", "xportrait does not read it"),
        (
            XPORTRAIT,
            {"sampler.audio": ["heard", 0]},
            "heard",
            "speech: a model of the family xportrait cannot",
        ),
        (XPORTRAIT, {"prepare.mode": "contour"}, "prepare", "use hints"),
        (XPORTRAIT, {"driving.patches": None}, "driving", "patches: a model of the family xportrait needs"),
        (
            XPORTRAIT,
            {"amplitude.expression": 0.5, "sampler.amplitude": ["amplitude", 0]},
            "sampler",
            "amplitude of expression: a model of the family xportrait cannot use it",
        ),
    ],
)
def test_what_a_family_cannot_use_is_refused(
    host: Host, family: str, changes: dict[str, Any], name: str, line: str
) -> None:
    told = refusals(host, family_graph(family, changes))

    assert len(told[name]) == 1 and line in told[name][0]
    # Where the condition of a node is of no use, neither is its link to the sampler.
    assert told.keys() <= {name, "sampler"}
    assert all(len(lines) == 1 for lines in told.values())


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (MEGACTOR, {"prepare.portrait": ["segment", 0]}),
        (SIGMA, {"sampler.audio": ["heard", 0], "prepare.video": None, "prepare.portrait": ["segment", 0]}),
        (SIGMA, {"sampler.start_latent": ["empty", 0], "prepare.face_landmarks": ["faces", 0]}),
        (XPORTRAIT, {"prepare.portrait": ["segment", 0], "sampler.control_strength": ["strength", 0]}),
        (XPORTRAIT, {"prepare.face_landmarks": ["faces", 0], "prepare.best_frame": 2}),
    ],
)
def test_what_a_family_can_use_is_taken(host: Host, family: str, changes: dict[str, Any]) -> None:
    run = host.run(family_graph(family, changes))

    assert run.status == "success", run.failure


@pytest.mark.parametrize("family", [MEGACTOR, SIGMA, XPORTRAIT])
def test_official_models_are_known_before_they_are_here(host: Host, family: str) -> None:
    graph = family_graph(family, {"model.model": f"{family} (official)", "prepare.best_frame": 3})
    graph["sampler"]["inputs"]["control_strength"] = ["strength", 0]
    if family == XPORTRAIT:
        graph["sampler"]["inputs"]["audio"] = ["heard", 0]

    assert f"a model of the family {family}" in refusals(host, graph)["sampler"][0]


def test_a_model_is_known_behind_its_loras(host: Host, host_process: HostProcess) -> None:
    folder = host_process.base / "models" / "loras"
    folder.mkdir(exist_ok=True)
    (folder / "few.safetensors").touch()
    graph = family_graph(SIGMA, {"lora.lora": "few.safetensors", "prepare.mode": "plain"})
    graph["second"] = node("MegActorLoadLora", model=["lora", 0], lora="few.safetensors", strength=1.0)
    graph["prepare"]["inputs"]["model"] = ["second", 0]

    assert "driving mode plain" in refusals(host, graph)["prepare"][0]


def test_links_in_a_circle_are_refused_and_the_host_lives(host: Host) -> None:
    graph = family_graph(SIGMA, {"lora.model": ["second", 0], "prepare.model": ["lora", 0]})
    graph["second"] = node("MegActorLoadLora", model=["lora", 0], lora="", strength=1.0)

    with host.connect() as page, pytest.raises(Rejected, match="cycle"):
        page.queue(graph)
    assert host.run(clip_graph()).status == "success"


def test_a_model_whose_name_is_linked_is_checked_when_it_runs(host: Host) -> None:
    graph = family_graph(SIGMA, {"model.model": ["name", 0], "prepare.mode": "plain"})

    failure = failed(host, graph)

    assert failure.node == "prepare" and "driving mode plain: is not for" in failure.message


def test_something_must_drive(host: Host) -> None:
    for family, remedy in ((MEGACTOR, "Give a driving video."), (SIGMA, "Give a driving video, or speech.")):
        graph = animation_graph(frames=4, steps=1, seed=1)
        graph["model"]["inputs"]["model"] = tiny_name(family)
        del graph["animate"]["inputs"]["driving"]

        (line,) = refusals(host, graph)["animate"]

        assert line == f"driving: nothing is given that could drive the portrait. {remedy}"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"amplitude.head_motion_keyframes": "0: 1, then 2"},
            "keyframes '0: 1, then 2': are neither numbers",
        ),
        ({"amplitude.expression_keyframes": "1, -0.5"}, "amplitude of expression, -0.5: must be a finite"),
        ({"amplitude.speech_keyframes": "0: nan"}, "amplitude of speech, nan: must be a finite number"),
        ({"amplitude.speech": -1}, "speech"),
    ],
)
def test_an_amplitude_that_is_none_is_refused(host: Host, changes: dict[str, Any], line: str) -> None:
    graph = family_graph(SIGMA, {"sampler.amplitude": ["amplitude", 0], **changes})

    with host.connect() as page, pytest.raises(Rejected) as caught:
        page.queue(graph)

    assert list(caught.value.node_errors) == ["amplitude"]
    (error,) = caught.value.node_errors["amplitude"]["errors"]
    assert line in error["details"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"strength.patch_start_percent": 0.8, "strength.patch_end_percent": 0.2},
            "patch: start 0.8, end 0.2",
        ),
        ({"strength.face_start_percent": -0.5}, "face: start -0.5, end 1"),
    ],
)
def test_a_part_of_denoising_that_is_none_is_refused(host: Host, changes: dict[str, Any], line: str) -> None:
    told = refusals(host, family_graph(XPORTRAIT, {"sampler.control_strength": ["strength", 0], **changes}))

    assert list(told) == ["strength"] and len(told["strength"]) == 1
    assert told["strength"][0].startswith(f"{line}: must be shares of the noise schedule")


def test_keyframes_of_another_length_are_told_when_the_length_is_known(host: Host) -> None:
    graph = family_graph(
        MEGACTOR, {"amplitude.expression_keyframes": "1, 0.5", "sampler.amplitude": ["amplitude", 0]}
    )

    failure = failed(host, graph)

    assert failure.node == "sampler"
    assert "amplitude of expression: has 2 values, the clip has 4 frames" in failure.message
