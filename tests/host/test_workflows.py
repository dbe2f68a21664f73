"""The workflows in API format are valid in the real host and give their videos, some with tiny weights."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from family_models import provide_tiny_models, with_tiny_model, write_tiny_lora
from host_client import Host, Workflow, nodes_of
from host_process import REPOSITORY, HostProcess
from numpy.typing import NDArray
from PIL import Image
from workflow_files import LCM_LORA, NAMES, WORKFLOWS, provide_host_models, read_graph, read_prompt

DRIVING = REPOSITORY / "examples" / "driving.mp4"


def declared_inputs(schema: dict[str, Any]) -> dict[str, list[Any]]:
    return {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}


def faults(workflow: Workflow, schemas: dict[str, Any]) -> Iterator[str]:
    """What the host would refuse, or take for something else, in a workflow."""
    for name, node in workflow.items():
        where = f"{name} {node['class_type']}"
        schema = schemas.get(node["class_type"])
        if schema is None:
            yield f"{where}: there is no such node"
            continue
        declared = declared_inputs(schema)
        missing = set(schema["input"].get("required", {})) - set(node["inputs"])
        unknown = {given.split(".")[0] for given in node["inputs"]} - set(declared)
        if missing or unknown:
            yield f"{where}: missing {sorted(missing)}, unknown {sorted(unknown)}"
            continue
        for given, value in node["inputs"].items():
            kind, *options = declared[given]
            if isinstance(value, list):
                source, slot = value
                offered = schemas[workflow[source]["class_type"]]["output"][slot]
                if offered != kind:
                    yield f"{where}: {given} is {kind} but linked to {offered}"
            elif kind == "COMBO" and value not in options[0]["options"]:
                yield f"{where}: {given} has no choice {value}"
            elif isinstance(kind, list) and value not in kind:
                yield f"{where}: {given} has no choice {value}"


@pytest.mark.parametrize("name", NAMES)
def test_workflow_fits_the_hosts_schemas(name: str, host: Host, host_process: HostProcess) -> None:
    provide_host_models(host_process.base)

    assert list(faults(read_prompt(name), host.object_info())) == []


@dataclass(frozen=True)
class Clip:
    """What a workflow has saved; frames uint8 RGB, sound in seconds."""

    frames: list[NDArray[np.uint8]]
    frame_rate: Fraction
    sound: float


def saved_clip(host: Host, workflow: Workflow) -> Clip:
    """Run a workflow; the clip of its one SaveVideo."""
    (save,) = nodes_of(workflow, "SaveVideo")
    run = host.run(workflow, timeout=900)
    assert run.status == "success", run.failure
    (file,) = run.files(save)
    with av.open(io.BytesIO(host.fetch(file))) as video:
        (picture,), (sound,) = video.streams.video, video.streams.audio
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(picture)]
        video.seek(0)
        samples = sum(frame.samples for frame in video.decode(sound))
        return Clip(frames, picture.average_rate, samples / sound.rate)


@pytest.mark.parametrize(
    ("name", "num_frames", "size"),
    [
        ("1_animate_portrait", 16, 128),
        ("2_step_by_step", 16, 256),
        ("3_ksampler_native_model", 16, 128),
        ("4_long_video", 64, 128),
    ],
)
def test_workflow_of_the_demo_weights_gives_a_video_with_the_drivers_frame_rate_and_sound(
    name: str, num_frames: int, size: int, host: Host
) -> None:
    clip = saved_clip(host, read_prompt(name))

    with av.open(str(DRIVING)) as driving:
        assert clip.frame_rate == driving.streams.video[0].average_rate == Fraction(25)
    assert [frame.shape for frame in clip.frames] == [(size, size, 3)] * num_frames
    # the encoder fills its last frame of sound
    assert clip.sound == pytest.approx(num_frames / clip.frame_rate, abs=0.05)
    assert all(frame.std() > 20 for frame in clip.frames), "a picture, not an even colour"
    assert (clip.frames[0] != clip.frames[-1]).mean() > 0.2, "it moves"


@pytest.mark.parametrize(
    ("name", "family", "num_frames"),
    [
        # as long as the example's sound, 2.56 s
        ("7_sigma_speech", "megactor-sigma", 64),
        ("8_sigma_video_and_speech", "megactor-sigma", 16),
        ("9_xportrait", "xportrait", 16),
        ("10_xportrait_few_steps", "xportrait", 16),
    ],
)
def test_workflow_of_another_family_runs_with_tiny_random_weights(
    name: str, family: str, num_frames: int, host: Host, host_process: HostProcess
) -> None:
    provide_tiny_models(host_process.base)
    write_tiny_lora(host_process.base, family, LCM_LORA)
    workflow = with_faces(with_tiny_model(read_prompt(name), family))

    clip = saved_clip(host, workflow)

    assert clip.frame_rate == 25
    assert [frame.shape for frame in clip.frames] == [(64, 64, 3)] * num_frames
    assert clip.sound == pytest.approx(num_frames / 25, abs=0.05)
    assert (clip.frames[0] != clip.frames[-1]).mean() > 0.2, "it moves"


def with_faces(workflow: Workflow) -> Workflow:
    """The same workflow with the driver's landmarks, which the face detector would find for its user."""
    frames = {"width": 256, "height": 256, "num_frames": 64}
    faces = {"class_type": "TestFaces", "inputs": frames}
    changed = {"faces": faces, **workflow}
    for name in nodes_of(workflow, "MegActorPrepareDriving"):
        inputs = {**workflow[name]["inputs"], "face_landmarks": ["faces", 0]}
        changed[name] = {**workflow[name], "inputs": inputs}
    return changed


@pytest.mark.parametrize("name", NAMES)
def test_template_is_complete_and_tidy(name: str) -> None:
    graph = read_graph(name)
    with Image.open(WORKFLOWS / f"{name}.jpg") as thumbnail:
        assert thumbnail.width == thumbnail.height >= 400

    assert {node["type"] for node in graph["nodes"]} > {"MarkdownNote"}
    boxes = [(node["id"], *placed(node)) for node in graph["nodes"]]
    for index, (one, *first) in enumerate(boxes):
        for other, *second in boxes[index + 1 :]:
            assert apart(first, second), f"nodes {one} and {other} overlap"


def placed(node: dict[str, Any]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a node with its title."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - 30, x + width, y + height


def apart(first: list[float], second: list[float]) -> bool:
    return first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]


def test_every_node_of_the_pack_is_in_some_workflow(host: Host) -> None:
    shown = {node["class_type"] for name in NAMES for node in read_prompt(name).values()}

    assert host.pack_schemas().keys() <= shown
