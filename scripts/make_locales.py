"""Write the English texts of all nodes from their schemas, for translators and for the host's page.

COMFYUI_PATH=.host/ComfyUI .host/environment/bin/python scripts/make_locales.py

Writes locales/en/nodeDefs.json. Other languages are written by hand, with the same keys. Runs in a ComfyUI's
environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


def pack_schemas() -> list[Any]:
    """Schemas of all nodes, of the pack imported as ``megactor_pack``."""
    from megactor_pack.nodes.extension import MegActorExtension
    from megactor_pack.nodes.host.model_files import register_folder

    register_folder()
    return [node.define_schema() for node in asyncio.run(MegActorExtension().get_node_list())]


def node_texts(schema: Any) -> dict[str, Any]:
    """What a page shows of a node, in the host's format of translations."""

    def named(part: Any) -> dict[str, str]:
        return {"name": part.display_name or part.id, "tooltip": part.tooltip}

    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {part.id: named(part) for part in schema.inputs},
        "outputs": {str(index): named(part) for index, part in enumerate(schema.outputs)},
    }


def main() -> None:
    sys.path.insert(0, str(REPOSITORY / "tests" / "inside_host"))
    import conftest  # noqa: F401 - imports the pack as the host does it

    texts = {schema.node_id: node_texts(schema) for schema in pack_schemas()}
    path = REPOSITORY / "locales" / "en" / "nodeDefs.json"
    path.write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
