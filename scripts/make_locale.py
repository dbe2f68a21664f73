"""Write locales/en/nodeDefs.json from the nodes' schemas.

python scripts/make_locale.py --host http://127.0.0.1:8188

A running ComfyUI with this pack is needed. Other languages are translations of this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx

FILE = Path(__file__).resolve().parent.parent / "locales" / "en" / "nodeDefs.json"


def texts(schema: dict[str, Any]) -> dict[str, Any]:
    """What a person reads of a node, in the page's order."""
    inputs = {**schema["input"].get("required", {}), **schema["input"].get("optional", {})}
    outputs = zip(schema["output_name"], schema["output_tooltips"], strict=True)
    node: dict[str, Any] = {"display_name": schema["display_name"], "description": schema["description"]}
    if inputs:
        node["inputs"] = {
            name: {"name": name, "tooltip": options["tooltip"]} for name, (_, options) in inputs.items()
        }
    node["outputs"] = {
        str(index): {"name": name, "tooltip": tooltip} for index, (name, tooltip) in enumerate(outputs)
    }
    return node


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="http://127.0.0.1:8188", help="address of a running ComfyUI")
    options = parser.parse_args()
    answer = httpx.get(f"{options.host}/object_info", timeout=60, trust_env=False)
    nodes = {name: texts(schema) for name, schema in answer.json().items() if name.startswith("MegActor")}
    FILE.write_text(json.dumps(nodes, indent=2) + "\n")


if __name__ == "__main__":
    main()
