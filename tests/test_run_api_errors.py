"""The script that users copy, where there is no ComfyUI or no workflow: one line, and the way out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "run_api.py"
WORKFLOW = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


class Page(BaseHTTPRequestHandler):
    """Answers everything with a page, as a web server that is no ComfyUI."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def refusal(folder: Path, content: str, *words: object) -> str:
    (folder / "workflow.json").write_text(content)
    command = [sys.executable, SCRIPT, folder / "workflow.json", "--output", folder / "results", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("server", ["localhost:9", "http://127.0.0.1:9", "nowhere.invalid", "http://", "a b"])
def test_nobody_answers(tmp_path: Path, server: str) -> None:
    assert f"no ComfyUI answers at {server}: " in refusal(tmp_path, json.dumps(WORKFLOW), "--server", server)


@pytest.mark.parametrize("portrait", [True, False])
def test_another_server_answers(tmp_path: Path, elsewhere: str, portrait: bool) -> None:
    words = ("--portrait", __file__) if portrait else ()
    said = refusal(tmp_path, json.dumps(WORKFLOW), "--server", elsewhere, *words)
    assert f"no ComfyUI answers at {elsewhere}" in said


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[1]", "3", '{"nodes": []}', '{"1": {"class_type": "A"}}']
)
def test_what_is_no_workflow(tmp_path: Path, content: str) -> None:
    assert "workflow.json is " in refusal(tmp_path, content)


def test_a_missing_file(tmp_path: Path, elsewhere: str) -> None:
    missing = tmp_path / "nobody.png"
    assert str(missing) in refusal(
        tmp_path, json.dumps(WORKFLOW), "--server", elsewhere, "--portrait", missing
    )
