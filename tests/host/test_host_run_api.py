"""The script that users copy: upload, queue, follow, fetch."""

from __future__ import annotations

import json
import subprocess
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from family_models import provide_tiny_models, with_tiny_model
from host_client import Host
from host_graphs import Graph, clip_graph, node
from host_process import HOST, REPOSITORY, HostProcess

EXAMPLES = REPOSITORY / "examples"
PORTRAIT, DRIVING = EXAMPLES / "portrait.png", EXAMPLES / "driving.mp4"


def run_api(host: Host, folder: Path, graph: Graph, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script as a user does, with ComfyUI's Python."""
    workflow = folder / "workflow.json"
    workflow.write_text(json.dumps(graph))
    python = HOST / "environment" / "bin" / "python"
    command = [python, EXAMPLES / "run_api.py", workflow, *words]
    command += ["--server", host.url, "--output", folder / "results"]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)


def loading_graph() -> Graph:
    """Two loaders as in any workflow; what they load is saved as it is."""
    return {
        "1": node("LoadImage", image="a picture nobody has.png"),
        "2": node("LoadVideo", file="a video nobody has.mp4"),
        "3": node("SaveImage", images=["1", 0], filename_prefix="picture"),
        "4": node("SaveVideo", video=["2", 0], filename_prefix="clip", format="mp4", codec="h264"),
    }


def example_graph() -> Graph:
    """A workflow on the pack's own example."""
    graph = loading_graph()
    del graph["1"], graph["2"]
    graph["example"] = node("MegActorExampleInputs")
    graph["3"]["inputs"]["images"] = ["example", 0]
    graph["4"]["inputs"]["video"] = ["example", 1]
    return graph


@pytest.mark.parametrize("graph", [loading_graph(), example_graph()], ids=["loaders", "example"])
def test_files_go_in_and_come_out(host: Host, tmp_path: Path, graph: Graph) -> None:
    done = run_api(
        host, tmp_path, graph, "--portrait", PORTRAIT, "--driving", DRIVING, "--set", "3.filename_prefix=me"
    )
    assert done.returncode == 0, done.stderr
    written = [Path(line) for line in done.stdout.split()]
    assert [path.name.split("_")[0] for path in written] == ["me", "clip"]
    with av.open(str(written[1])) as video, av.open(str(DRIVING)) as driving:
        assert video.streams.video[0].frames == driving.streams.video[0].frames
        assert video.streams.audio


def test_a_workflow_of_the_pack_animates(host: Host, tmp_path: Path) -> None:
    graph = json.loads((REPOSITORY / "workflows" / "api" / "1_animate_portrait.json").read_text())
    (animate,) = [key for key, one in graph.items() if one["class_type"] == "MegActorAnimatePortrait"]
    settings = ("--set", f"{animate}.max_frames=3", "--set", f"{animate}.steps=2")
    done = run_api(host, tmp_path, graph, "--portrait", PORTRAIT, "--driving", DRIVING, *settings)
    assert done.returncode == 0, done.stderr
    with av.open(done.stdout.strip()) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3


def test_speech_of_the_users_drives(host: Host, host_process: HostProcess, tmp_path: Path) -> None:
    provide_tiny_models(host_process.base)
    workflow = json.loads((REPOSITORY / "workflows" / "api" / "7_sigma_speech.json").read_text())
    speech = tmp_path / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 4800, np.int16).tobytes())
    graph = with_tiny_model(workflow, "megactor-sigma")
    done = run_api(host, tmp_path, graph, "--portrait", PORTRAIT, "--speech", speech)
    assert done.returncode == 0, done.stderr
    with av.open(done.stdout.strip()) as video:
        assert sum(1 for _ in video.decode(video=0)) == 15


def test_speech_needs_a_place(host: Host, tmp_path: Path) -> None:
    done = run_api(host, tmp_path, example_graph(), "--speech", DRIVING)
    assert done.returncode == 1
    assert "neither a LoadAudio node nor a link to an audio input" in done.stderr


def test_a_refused_workflow_says_why(host: Host, tmp_path: Path) -> None:
    done = run_api(host, tmp_path, loading_graph(), "--portrait", PORTRAIT)
    assert done.returncode == 1
    assert "LoadVideo (2)" in done.stderr
    assert "a video nobody has.mp4" in done.stderr


def test_a_failed_node_says_why(host: Host, tmp_path: Path) -> None:
    graph = clip_graph()
    graph["prepare"]["inputs"]["crop"] = "face"
    done = run_api(host, tmp_path, graph)
    assert done.returncode == 1
    assert "MegActorPrepareDriving (prepare): crop face: nothing tells where the face is" in done.stderr


def test_a_widget_that_is_not_there(host: Host, tmp_path: Path) -> None:
    done = run_api(host, tmp_path, loading_graph(), "--set", "9.seed=1")
    assert done.returncode == 1
    assert "no 9.seed" in done.stderr
