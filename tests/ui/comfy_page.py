"""ComfyUI's page in a real browser, used as a person would use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, Playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW = 120_000
"""Milliseconds that a page may take on a busy machine."""
FOLDER = "MegActor"
"""The pack's folder in ``custom_nodes``, by which the template browser lists it."""

Graph = dict[str, Any]


def find_browser() -> str | None:
    """Path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def launch(playwright: Playwright, program: str) -> Browser:
    return playwright.chromium.launch(executable_path=program, args=OPTIONS)


class ComfyPage:
    """One page of a running host.

    Args:
        browser: that opens it.
        url: of the host.
        settings: of the page, e.g. {"Comfy.Locale": "zh"}; they stay with the host.
        size: of the window in pixels.
    """

    def __init__(
        self,
        browser: Browser,
        url: str,
        settings: dict[str, Any] | None = None,
        size: tuple[int, int] = (1920, 1080),
    ) -> None:
        # A page that was never used before opens the template browser by itself.
        always = {
            "Comfy.TutorialCompleted": True,
            "Comfy.VueNodes.Enabled": False,
            "Comfy.Locale": "en",
            "Comfy.RightSidePanel.IsOpen": False,
        }
        with httpx.Client(trust_env=False) as client:
            client.post(f"{url}/api/settings", json=always | (settings or {})).raise_for_status()
        self.page: Page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.page.set_default_timeout(SLOW)
        self.errors: list[str] = []
        """What the page has reported as an error, in the console or uncaught."""
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.goto(url)
        self.page.wait_for_function(
            "window.LiteGraph?.registered_node_types.SaveVideo != null && window.app?.graph.nodes.length"
        )
        self.page.wait_for_load_state("networkidle")

    def close(self) -> None:
        self.page.close()

    def load_graph(self, graph: Graph) -> None:
        """Open a workflow in graph format, as if its file had been dropped onto the page."""
        self.errors.clear()
        self.page.evaluate(
            "graph => window.app.loadGraphData(graph, true, true, null, {openSource: 'template'})", graph
        )
        self.page.wait_for_load_state("networkidle")

    def open_template(self, name: str) -> None:
        """Workflow > Browse Templates > MegActor > the template."""
        self.errors.clear()
        self.browse_templates()
        self.page.get_by_test_id(f"template-workflow-{name}").click()
        self.page.wait_for_function(
            "() => window.app.graph.nodes.some(node => node.type.startsWith('MegActor'))"
        )
        self.page.wait_for_load_state("networkidle")

    def browse_templates(self) -> None:
        """Open the template browser at the pack's templates, all of them and their pictures drawn."""
        self.page.get_by_role("button", name="Templates").click()
        self.page.get_by_text(FOLDER, exact=True).last.click()
        self.page.get_by_test_id("template-workflow-1_animate_portrait").wait_for()
        self.page.wait_for_load_state("networkidle")

    def set_widget(self, node_type: str, name: str, value: Any) -> None:
        """Change a widget of the one node of a type."""
        self.page.evaluate(
            """([type, name, value]) => {
                const node = window.app.graph.nodes.find(node => node.type === type)
                node.widgets.find(widget => widget.name === name).value = value
            }""",
            [node_type, name, value],
        )

    def open_help(self, node_type: str) -> None:
        """Select the one node of a type and press Info above it."""
        self.page.evaluate(
            "type => window.app.canvas.selectNode(window.app.graph.nodes.find(node => node.type === type))",
            node_type,
        )
        self.page.get_by_test_id("info-button").click()

    def graph(self) -> Graph:
        """What Export writes."""
        return dict(self._converted("workflow"))

    def prompt(self) -> dict[str, Any]:
        """What Export (API) writes, and Run queues."""
        return dict(self._converted("output"))

    def unknown_types(self) -> list[str]:
        """Types of nodes that the host does not have."""
        return list(
            self.page.evaluate(
                "window.app.graph.nodes.map(node => node.type)"
                ".filter(type => !(type in window.LiteGraph.registered_node_types))"
            )
        )

    def run(self) -> None:
        """Press Run and wait until the prompt has ended well.

        Raises:
            AssertionError: it has failed.
        """
        self.page.evaluate(
            """() => {
                window.ended = null
                for (const end of ['execution_success', 'execution_error', 'execution_interrupted'])
                    window.app.api.addEventListener(end, ({ detail }) => (window.ended = { end, detail }))
            }"""
        )
        self.page.get_by_test_id("queue-button").click()
        self.page.wait_for_function("window.ended", timeout=3 * SLOW)
        ended = self.page.evaluate("window.ended")
        assert ended["end"] == "execution_success", ended

    def screenshot(self, path: Path) -> None:
        """Save what is seen, without the pointer over anything."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.mouse.move(960, 1040)
        self.page.get_by_text("Job completed").wait_for(state="hidden")
        self.page.wait_for_timeout(1500)  # what moves on the page comes to rest
        self.page.screenshot(path=path)

    def _converted(self, part: str) -> Any:
        script = "part => window.app.graphToPrompt().then(made => JSON.stringify(made[part]))"
        return json.loads(self.page.evaluate(script, part))

    def _note(self, kind: str, text: str) -> None:
        # The page asks there how large the files of its own first workflow are, at any time.
        if kind == "error" and "huggingface.co/Comfy-Org/" not in text:
            self.errors.append(text)
