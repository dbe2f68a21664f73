"""A LoRA on X-Portrait as the native MODEL, in a running host."""

from __future__ import annotations

import pytest
from family_models import provide_tiny_models, tiny_name, write_tiny_lora
from host_client import Host, Rejected
from host_graphs import Graph, clip_graph, node
from host_process import HostProcess

LORA = "tiny few-step.safetensors"


def native_graph(lora: str) -> Graph:
    graph = clip_graph()
    graph["loader"] = {**graph["model"], "inputs": {"model": tiny_name("xportrait"), "download": False}}
    graph["model"] = node("MegActorLoadLora", model=["loader", 0], lora=lora, strength=0.5)
    graph["prepare"]["inputs"] |= {"mode": "auto", "portrait": ["segment", 0]}
    graph["driving"]["inputs"]["patches"] = ["prepare", 5]
    del graph["background"]
    conditions = {"reference": ["reference", 0], "driving": ["driving", 0]}
    graph["apply"] = node(
        "MegActorApply", model=["model", 0], context_length=0, context_overlap=-1, **conditions
    )
    settings = {"seed": 1, "steps": 4, "cfg": 1.0, "sampler_name": "lcm", "scheduler": "sgm_uniform"}
    graph["sampler"] = node(
        "KSampler",
        model=["apply", 0],
        positive=["apply", 1],
        negative=["apply", 2],
        latent_image=["apply", 3],
        denoise=1.0,
        **settings,
    )
    graph["decode"]["inputs"]["vae"] = ["loader", 1]
    graph["report"] = node("PreviewAny", source=["model", 1])
    return graph


def test_a_few_step_lora_on_the_native_model(host: Host, host_process: HostProcess) -> None:
    provide_tiny_models(host_process.base)
    write_tiny_lora(host_process.base, "xportrait", LORA)
    run = host.run(native_graph(LORA))
    assert run.status == "success", run.failure
    assert len(run.files("frames")) == 4
    assert f"{LORA}: 1 layers changed" in str(run.outputs["report"])
    assert not host.run(native_graph(LORA)).ran, "nothing has changed"


def test_a_lora_that_is_not_there_is_refused(host: Host, host_process: HostProcess) -> None:
    provide_tiny_models(host_process.base)
    with pytest.raises(Rejected) as caught:
        host.run(native_graph("gone.safetensors"))
    (error,) = caught.value.node_errors["model"]["errors"]
    assert "lora gone.safetensors: is not in models/loras" in error["details"]


def test_the_family_is_known_through_a_lora(host: Host, host_process: HostProcess) -> None:
    provide_tiny_models(host_process.base)
    write_tiny_lora(host_process.base, "xportrait", LORA)
    graph = native_graph(LORA)
    del graph["driving"]["inputs"]["patches"]
    with pytest.raises(Rejected) as caught:
        host.run(graph)
    (error,) = caught.value.node_errors["driving"]["errors"]
    assert "a model of the family xportrait needs them" in error["details"]
