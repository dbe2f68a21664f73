"""Enters a ComfyUI, whose folder ``COMFYUI_PATH`` names, and imports the pack as it does."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def enter_host() -> None:
    """Import the host, on the CPU, and the pack by its folder, under the name ``megactor_pack``."""
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    # Last, since the pack's folder ``nodes`` must not hide the host's module of that name. What tests make
    # with ``megactor_core`` reaches the pack through files only: the pack's own copy has another module name.
    sys.path += [str(ROOT), str(ROOT / "tests")]
    arguments, sys.argv = sys.argv, [sys.argv[0], "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.cli_args

    sys.argv = arguments
    spec = importlib.util.spec_from_file_location(
        "megactor_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    sys.modules["megactor_pack"] = pack
    spec.loader.exec_module(pack)
