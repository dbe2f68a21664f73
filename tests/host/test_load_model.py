"""Load MegActor Model: what it offers follows the models folder, and says so where a model is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_client import Host, Rejected
from host_graphs import Graph, node
from host_process import HostProcess
from tiny_model import write_tiny_model

NAME = "faces/mine"


@pytest.fixture
def folder(host_process: HostProcess) -> Iterator[Path]:
    """A model that is put into ``models/megactor`` of the running host, and taken away afterwards."""
    place = host_process.base / "models" / "megactor"
    yield write_tiny_model(place / NAME)
    shutil.rmtree(place)


def load_graph(model: str) -> Graph:
    """The VAE of a model decodes an empty latent."""
    return {
        "model": node("MegActorLoadModel", model=model, download=False),
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "decode": node("VAEDecode", samples=["empty", 0], vae=["model", 1]),
        "picture": node("PreviewImage", images=["decode", 0]),
    }


def offered(host: Host) -> list[str]:
    schema = host.get("/object_info/MegActorLoadModel")["MegActorLoadModel"]
    options: list[str] = schema["input"]["required"]["model"][1]["options"]
    return options


def test_the_demo_comes_first_and_official_weights_are_offered(host: Host) -> None:
    assert offered(host)[:2] == ["demo (bundled)", "megactor (official)"]


def test_a_model_that_is_put_there_loads_and_loads_anew_when_it_changes(host: Host, folder: Path) -> None:
    assert NAME in offered(host)
    assert host.run(load_graph(NAME)).status == "success"
    assert host.run(load_graph(NAME)).ran == ()

    os.utime(folder / "denoiser.safetensors")
    again = host.run(load_graph(NAME))
    assert again.status == "success" and "model" in again.ran


def test_a_model_that_is_gone_is_explained_before_anything_runs(
    host: Host, host_process: HostProcess
) -> None:
    with pytest.raises(Rejected) as caught:
        host.run(load_graph("faces/gone"))

    told = str(caught.value.node_errors["model"]["errors"])
    for part in ("faces/gone", str(host_process.base / "models" / "megactor"), "demo (bundled)"):
        assert part in told


def test_a_damaged_model_names_its_file(host: Host, folder: Path) -> None:
    (folder / "vae.safetensors").write_bytes(b"no tensors")

    failure = host.run(load_graph(NAME)).failure

    assert failure is not None and failure.node == "model"
    assert str(folder / "vae.safetensors") in failure.message


def test_official_weights_are_never_fetched_unasked(host: Host, host_process: HostProcess) -> None:
    failure = host.run(load_graph("megactor (official)")).failure

    assert failure is not None and failure.node == "model"
    for part in ("Switch download on", "https://huggingface.co/", "checkpoint-steps9000.ckpt", "GB"):
        assert part in failure.message
    assert not (host_process.base / "models" / "megactor").exists()
