"""Nodes that several workflows have in common."""

from __future__ import annotations

from typing import Any

from .graph import Node

DEMO = "demo (bundled)"
HUB = "https://huggingface.co"


def load(model: str = DEMO) -> Node:
    return Node("load", "MegActorLoadModel", widgets={"model": model}, width=340)


def example() -> Node:
    return Node("example", "MegActorExampleInputs", width=340)


def look(name: str = "look", **links: str) -> Node:
    always = {"model": "load.model", "image": "example.portrait"}
    return Node(name, "MegActorSegmentReference", always | links, width=360, preview=220)


def prepare(mode: str = "auto", **links: str) -> Node:
    always = {"model": "load.model", "video": "example.driving"}
    widgets = {"mode": mode, "max_frames": 16}
    return Node("prepare", "MegActorPrepareDriving", always | links, widgets, width=360, preview=220)


def encode_reference(name: str = "reference", of: str = "look", **links: str) -> Node:
    always = {
        "model": "load.model",
        "portrait": f"{of}.portrait",
        "foreground": f"{of}.foreground",
        "vae": "load.vae",
    }
    return Node(name, "MegActorEncodeReference", always | links)


def encode_driving(**links: str) -> Node:
    always = {"model": "load.model", "condition": "prepare.condition"}
    return Node("driving", "MegActorEncodeDriving", always | links)


CONDITIONS = {"model": "load.model", "reference": "reference.reference", "driving": "driving.driving"}


def sample(links: dict[str, str], **widgets: Any) -> Node:
    return Node(
        "sample", "MegActorSampler", CONDITIONS | links, {"seed": 42} | widgets, width=300, preview=320
    )


def decode(samples: str) -> Node:
    return Node("decode", "VAEDecode", {"samples": samples, "vae": "load.vae"}, width=230)


PASTE_BACK = Node(
    "paste",
    "MegActorPasteBack",
    {"frames": "decode.IMAGE", "crop": "look.crop", "image": "example.portrait"},
    width=230,
)


def create_video(images: str) -> Node:
    links = {"images": images, "fps": "prepare.frame_rate", "audio": "prepare.audio"}
    return Node("create", "CreateVideo", links, width=230)


def save_video(video: str, prefix: str) -> Node:
    widgets = {"filename_prefix": f"video/megactor_{prefix}"}
    return Node("save", "SaveVideo", {"video": video}, widgets, width=360, preview=400)


def animate(driver: dict[str, str], *, advanced: bool = False, **widgets: Any) -> Node:
    links = {"model": "load.model", "portrait": "example.portrait"}
    return Node(
        "animate",
        "MegActorAnimatePortrait",
        links | driver,
        {"seed": 42} | widgets,
        width=340,
        preview=360,
        advanced=advanced,
    )


def host_file(name: str, type: str, widget: str, file: str, address: str, **more: Any) -> Node:
    """A loader of a file of the host's models; where it is missing, the page offers to fetch it.

    Args:
        name, type: of the node.
        widget: in which the file is chosen.
        file: its name.
        address: "owner/name/path of the file" on the hub.
        more: ``directory`` below ``models``; else as of ``Node``.
    """
    owner, repository, path = address.split("/", 2)
    url = f"{HUB}/{owner}/{repository}/resolve/main/{path}"
    models = [{"name": file, "url": url, "directory": more.pop("directory")}]
    widgets = {widget: file} | more.pop("widgets", {})
    return Node(name, type, widgets=widgets, width=340, properties={"models": models}, **more)
