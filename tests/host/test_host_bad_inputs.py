"""Whatever is wrong with a prompt is said where it is wrong, in words that help."""

from __future__ import annotations

from typing import Any

import pytest
from family_models import provide_tiny_models, with_tiny_model
from host_client import Host, Rejected
from host_graphs import clip_graph, node
from host_process import HostProcess
from media.media_files import grey_images, make_video


def refused(host: Host, name: str, **inputs: Any) -> str:
    """What the host says of one node with these inputs changed."""
    graph = clip_graph()
    graph[name]["inputs"] |= inputs
    with pytest.raises(Rejected) as caught:
        host.run(graph)
    assert list(caught.value.node_errors) == [name]
    return str(caught.value.node_errors[name]["errors"])


@pytest.mark.parametrize(
    ("name", "inputs", "word"),
    [
        ("model", {"model": "no such model"}, "no such model"),
        ("segment", {"crop": "sideways"}, "sideways"),
        ("sampler", {"steps": "many"}, "steps"),
        ("sampler", {"steps": -1}, "steps"),
        ("sampler", {"driving": ["reference", 0]}, "driving"),
        ("reference", {"portrait": ["segment", 3]}, "portrait"),
    ],
)
def test_a_wrong_value_is_refused(host: Host, name: str, inputs: dict[str, Any], word: str) -> None:
    assert word in refused(host, name, **inputs)


def test_a_missing_input_is_refused(host: Host) -> None:
    graph = clip_graph()
    del graph["sampler"]["inputs"]["driving"]
    with pytest.raises(Rejected, match="driving"):
        host.run(graph)


def test_a_driver_must_be_given(host: Host) -> None:
    graph = clip_graph()
    del graph["prepare"]["inputs"]["video"]
    with pytest.raises(Rejected) as caught:
        host.run(graph)
    (error,) = caught.value.node_errors["prepare"]["errors"]
    assert "Link video, or a batch to images." in error["details"]


@pytest.mark.parametrize("audio", [["file", 0], ["silent", 1]], ids=["Load Audio", "a silent video"])
def test_a_file_without_sound_is_told(host: Host, host_process: HostProcess, audio: list[Any]) -> None:
    provide_tiny_models(host_process.base)
    silent = make_video(host_process.base / "input" / "silent.mp4", grey_images(4))
    heard = node("MegActorEncodeAudio", model=["model", 0], audio=audio, frame_rate=25.0, num_frames=4)
    graph = with_tiny_model(clip_graph(), "megactor-sigma") | {
        "file": node("LoadAudio", audio=silent.name),
        "video": node("LoadVideo", file=silent.name),
        "silent": node("GetVideoComponents", video=["video", 0]),
        "heard": heard,
    }
    graph["prepare"]["inputs"] |= {"mode": "auto", "portrait": ["segment", 0], "video": ["video", 0]}
    del graph["sampler"]["inputs"]["background"]
    graph["sampler"]["inputs"]["audio"] = ["heard", 0]

    failure = host.run(graph).failure

    assert failure is not None
    if audio[0] == "file":
        assert failure.node == "file" and "No audio stream" in failure.message
    else:
        assert failure.node == "heard" and "audio: the linked video has no sound" in failure.message


def test_windows_that_cannot_be_are_explained(host: Host) -> None:
    graph = clip_graph()
    graph["sampler"]["inputs"] |= {"context_length": 8, "context_overlap": 8}
    failure = host.run(graph).failure
    assert failure is not None
    assert failure.node == "sampler"
    assert "overlap" in failure.message
    # The prompt after a failed one is not disturbed.
    assert host.run(clip_graph()).status == "success"
