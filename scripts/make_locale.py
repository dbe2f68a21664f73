"""Write locales/en/nodeDefs.json from the nodes' schemas, and rows of new inputs into the help pages.

python scripts/make_locale.py --host http://127.0.0.1:8188

A running ComfyUI with this pack is needed. Other languages are translations of this file; run it again when
they are done, so that their help pages get their rows too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).resolve().parent.parent
LOCALES = REPOSITORY / "locales"
PAGES = REPOSITORY / "web" / "docs"


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


def with_rows(page: str, inputs: dict[str, dict[str, str]], translated: bool) -> str:
    """A help page with a row, at the end of its first table, for every input that it does not explain."""
    lines = page.split("\n")
    last = next(i for i, line in enumerate(lines) if line.startswith("| `"))
    while lines[last + 1].startswith("|"):
        last += 1
    rows = []
    for name, one in inputs.items():
        if f"| `{name}`" not in page:
            called = f"（{one['name']}）" if translated else ""
            rows.append(f"| `{name}`{called} | {one['tooltip']} |")
    return "\n".join([*lines[: last + 1], *rows, *lines[last + 1 :]])


def write_texts(schemas: dict[str, Any]) -> None:
    """Write the English texts, and the rows of all languages."""
    nodes = {name: texts(schema) for name, schema in schemas.items() if name.startswith("MegActor")}
    (LOCALES / "en" / "nodeDefs.json").write_text(json.dumps(nodes, indent=2) + "\n")
    for file in LOCALES.glob("*/nodeDefs.json"):
        language = file.parent.name
        for name, node in json.loads(file.read_text(encoding="utf-8")).items():
            page = PAGES / (f"{name}.md" if language == "en" else f"{name}/{language}.md")
            if "inputs" in node:
                text = page.read_text(encoding="utf-8")
                page.write_text(with_rows(text, node["inputs"], language != "en"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="http://127.0.0.1:8188", help="address of a running ComfyUI")
    options = parser.parse_args()
    answer = httpx.get(f"{options.host}/object_info", timeout=60, trust_env=False)
    write_texts(answer.json())


if __name__ == "__main__":
    main()
