"""The pack's workflows in the host's template browser."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from server import PromptServer

_PACK = Path(__file__).parents[2]


def serve_templates() -> None:
    """Serve ``workflows/`` before the host does.

    It lists the workflows of every folder that packs keep them in, but answers requests for them from the
    first such folder alone; that would be ``examples/``.
    """
    route = web.static(f"/api/workflow_templates/{_PACK.name}", _PACK / "workflows")
    PromptServer.instance.app.add_routes([route])
