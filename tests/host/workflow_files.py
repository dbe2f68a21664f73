"""The pack's workflows, for the tests that run them and those that open them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from host_process import REPOSITORY

WORKFLOWS = REPOSITORY / "workflows"
LCM_LORA = "lcm-lora-sdv1-5.safetensors"
"""In ``models/loras``; workflow 10 asks for it."""
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))


def read_graph(name: str) -> dict[str, Any]:
    """A workflow in graph format."""
    return dict(json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8")))


def read_prompt(name: str) -> dict[str, Any]:
    """The same in API format."""
    return dict(json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8")))


def provide_host_models(base: Path) -> None:
    """Put empty files where loaders look for the files that workflows 5 and 10 ask their users for.

    Args:
        base: folder of the host.
    """
    for name in (
        "detection/mediapipe_face_fp32.safetensors",
        "background_removal/birefnet.safetensors",
        f"loras/{LCM_LORA}",
    ):
        file = base / "models" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
