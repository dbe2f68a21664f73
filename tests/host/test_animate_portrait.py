"""Animate Portrait in a running host: a video comes out, or nothing at all."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from host_client import Host
from host_graphs import Graph, node
from host_process import HostProcess
from PIL import Image


def animation_graph(frames: int, steps: int, seed: int, **inputs: object) -> Graph:
    """The demo in one node; node "save" has the video."""
    animate = node(
        "MegActorAnimatePortrait",
        model=["model", 0],
        portrait=["example", 0],
        driving=["example", 1],
        seed=seed,
        steps=steps,
        guidance_scale=0.0,
        scheduler="ddim",
        context_length=0,
        context_overlap=-1,
        crop="auto",
        paste_back=False,
        size=0,
        lost_face="hold",
        start_frame=0,
        max_frames=frames,
    )
    animate["inputs"] |= inputs
    return {
        "model": node("MegActorLoadModel", model="demo (bundled)", download=False),
        "example": node("MegActorExampleInputs"),
        "animate": animate,
        "save": node("SaveVideo", video=["animate", 0], filename_prefix="clip", format="auto", codec="auto"),
    }


def temporary_videos(host_process: HostProcess) -> set[str]:
    """What the node has left in the host's temporary folder, finished or not."""
    return {path.name for path in (host_process.base / "temp").glob("*") if "megactor" in path.name}


def test_a_video_with_the_drivers_frames_rate_and_sound(host: Host, tmp_path: Path) -> None:
    run = host.run(animation_graph(frames=12, steps=2, seed=1, start_frame=5))
    assert run.status == "success", run.failure
    for name, size in (("animate", (128, 128)), ("save", (128, 128))):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(host.fetch(run.files(name)[0]))
        with av.open(str(path)) as video:
            stream = video.streams.video[0]
            assert (stream.frames, stream.average_rate) == (12, Fraction(25))
            assert (stream.width, stream.height) == size
            sound = video.streams.audio[0]
            assert float(sound.duration * sound.time_base) == pytest.approx(12 / 25, abs=0.05)


def test_it_shows_the_clip_while_it_takes_shape(host: Host) -> None:
    run = host.run(animation_graph(frames=12, steps=3, seed=2))
    done = [value for value, _ in run.progress["animate"]]
    assert done == sorted(done) and done[-1] == run.progress["animate"][-1][1]
    shown = [Image.open(io.BytesIO(preview.image)) for preview in run.previews if preview.node == "animate"]
    assert len(shown) >= 2
    assert all(picture.convert("L").getextrema()[1] > 50 for picture in shown)


def test_a_cancelled_animation_leaves_no_file(host: Host, host_process: HostProcess) -> None:
    assert host.run(animation_graph(frames=4, steps=1, seed=3)).status == "success"
    before = temporary_videos(host_process)
    with host.connect() as page:
        prompt = page.queue(animation_graph(frames=64, steps=100, seed=4))
        page.wait_for_progress(prompt, "animate")
        host.interrupt(prompt)
        assert page.follow(prompt, timeout=60).status == "interrupted"
    assert temporary_videos(host_process) == before


def test_what_is_wrong_is_said_on_the_node(host: Host, host_process: HostProcess) -> None:
    before = temporary_videos(host_process)
    failure = host.run(animation_graph(frames=4, steps=1, seed=5, crop="face")).failure
    assert failure is not None
    assert (failure.node, failure.node_type) == ("animate", "MegActorAnimatePortrait")
    assert "nothing tells where the face is" in failure.message and "choose whole" in failure.message
    assert temporary_videos(host_process) == before
