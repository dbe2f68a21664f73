"""Write workflows/*.json and workflows/api/*.json from the descriptions in workflow_graphs/.

python scripts/make_workflows.py --host http://127.0.0.1:8188

A running ComfyUI with this pack and a Chromium are needed: the page itself builds each graph, so that the
files are what it would save.
"""

from __future__ import annotations

import argparse
import json
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from workflow_graphs import WORKFLOWS, Workflow

REPOSITORY = Path(__file__).resolve().parent.parent
BUILDER = Path(__file__).with_suffix(".js").read_text()
PACK = "MegActor"
BROWSER_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def build(page: Page, workflow: Workflow) -> tuple[dict[str, Any], dict[str, Any]]:
    """Graph and API format of a workflow, the same at every call."""
    description = asdict(workflow) | {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PACK}/{workflow.name}"))}
    built = page.evaluate(BUILDER, description)
    graph, prompt = json.loads(built["graph"]), json.loads(built["prompt"])
    for node in graph["nodes"]:
        # The folder a user cloned into, and the host's version, say nothing about the graph.
        for name in ("aux_id", "ver"):
            node["properties"].pop(name, None)
        node.setdefault("widgets_values", [])  # as the page writes it once the graph was loaded
    graph["extra"] = {}
    return graph, prompt


def save(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print(f"wrote {path.relative_to(REPOSITORY)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="http://127.0.0.1:8188", help="address of a running ComfyUI")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="Chromium's program")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=BROWSER_OPTIONS)
        for workflow in WORKFLOWS:
            # A page remembers widgets by the number of their node, for the nodes of the next graph too.
            page = browser.new_page()
            page.goto(options.host)
            page.wait_for_function(
                "window.LiteGraph?.registered_node_types.SaveVideo != null && window.app?.graph.nodes.length"
            )
            graph, prompt = build(page, workflow)
            page.close()
            save(REPOSITORY / "workflows" / f"{workflow.name}.json", graph)
            save(REPOSITORY / "workflows" / "api" / f"{workflow.name}.json", prompt)
        browser.close()


if __name__ == "__main__":
    main()
