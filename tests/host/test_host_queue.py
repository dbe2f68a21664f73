"""Many prompts, one host: nothing is done twice, nothing leaks from one prompt into the next."""

from __future__ import annotations

import io

from host_client import Host, Run
from host_graphs import clip_graph, node
from host_process import HostProcess
from PIL import Image


def frames(host: Host, run: Run) -> list[bytes]:
    """The clip's pictures as files."""
    assert run.status == "success", run.failure
    return [host.fetch(file) for file in run.files("frames")]


def test_the_same_prompt_again_costs_nothing(host: Host) -> None:
    graph = clip_graph(seed=11)
    first, second = host.run(graph), host.run(graph)
    assert frames(host, first) == frames(host, second)
    assert second.ran == ()


def test_another_seed_runs_the_sampler_only(host: Host) -> None:
    first, second = host.run(clip_graph(seed=21)), host.run(clip_graph(seed=22))
    assert frames(host, first) != frames(host, second)
    assert second.ran == ("sampler", "decode", "frames")


def test_another_portrait_does_not_encode_the_driver_again(host: Host) -> None:
    graph = clip_graph(seed=31)
    first = host.run(graph)
    turned = {**graph, "turn": node("ImageRotate", image=["example", 0], rotation="180 degrees")}
    turned["segment"] = node(
        "MegActorSegmentReference", **{**graph["segment"]["inputs"], "image": ["turn", 0]}
    )
    second = host.run(turned)
    assert frames(host, first) != frames(host, second)
    assert not {"model", "prepare", "driving"} & set(second.ran)


def test_two_pages_get_each_their_own_clip(host: Host) -> None:
    graphs = [clip_graph(seed=seed) for seed in (41, 42)]
    with host.connect() as one, host.connect() as other:
        prompts = [one.queue(graphs[0]), other.queue(graphs[1])]
        runs = [one.follow(prompts[0]), other.follow(prompts[1])]
    together = [frames(host, run) for run in runs]
    host.free()
    alone = [frames(host, host.run(graph)) for graph in graphs]
    assert together == alone
    assert together[0] != together[1]


def test_a_cancelled_prompt_stops_and_leaves_nothing(host: Host) -> None:
    host.run(clip_graph(seed=51))
    host.free()
    before = host.tensor_bytes()
    with host.connect() as page:
        prompt = page.queue(clip_graph(seed=52, frames=32, steps=200))
        page.wait_for_progress(prompt, "sampler")
        host.interrupt(prompt)
        assert page.follow(prompt, timeout=30).status == "interrupted"
    host.free()
    assert host.tensor_bytes() <= before
    assert host.run(clip_graph(seed=51)).status == "success"


def test_models_go_where_the_host_needs_the_room(host: Host) -> None:
    assert host.run(clip_graph(seed=61)).status == "success"
    assert host.loaded_models()
    host.free()
    assert host.loaded_models() == []


def test_work_is_shown_while_it_is_done(host: Host) -> None:
    run = host.run(clip_graph(seed=71, steps=3))
    steps = run.progress["sampler"]
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) >= 4
    # Not at every step: a preview that takes longer than the work is not worth it.
    pictures = [Image.open(io.BytesIO(one.image)) for one in run.previews if one.node == "sampler"]
    assert pictures
    # All four frames of 256 pixels, side by side.
    assert pictures[0].size == (512, 512)


def test_a_host_started_again_gives_the_same_clip(host: Host, host_process: HostProcess) -> None:
    graph = clip_graph(seed=81)
    before = frames(host, host.run(graph))
    host_process.restart()
    assert frames(host, host.run(graph)) == before
