"""Prepare Driving with the values its widgets have when it is put into a graph."""

from __future__ import annotations

from typing import Any

from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.prepare_driving import PrepareDriving

WIDGETS = {
    "crop": "auto",
    "mode": "auto",
    "lost_face": "hold",
    "start_frame": 0,
    "max_frames": 0,
    "frame_rate": 25.0,
    "face": -1,
    "smoothing": 0.0,
    "size": 0,
}


def prepare(model: PortraitModel, **inputs: Any) -> Any:
    """The node's result for some inputs."""
    return PrepareDriving.execute(model=model, **{**WIDGETS, **inputs})
