"""A file server with the few routes of Hugging Face's hub that a download asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


@dataclass
class Hub:
    """Its address, and the paths and ranges of bytes that were asked for."""

    address: str
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)


@contextmanager
def serve_hub(files: dict[str, Path]) -> Iterator[Hub]:
    """Serve files by ``owner/name/path``; folders and digests are listed as the hub does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.requests.append(self.path)
            path = unquote(self.path.split("?")[0]).strip("/")
            if path.startswith("api/models/"):
                repository, _, folder = path.removeprefix("api/models/").partition("/tree/")
                self.send(json.dumps(listing(repository, folder.partition("/")[2])).encode())
            else:
                repository, _, rest = path.partition("/resolve/")
                self.send(files[f"{repository}/{rest.partition('/')[2]}"].read_bytes())

        def send(self, content: bytes) -> None:
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                hub.ranges.append(wanted)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:])

        def handle(self) -> None:
            with suppress(ConnectionError):  # a cancelled download hangs up
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    def listing(repository: str, folder: str) -> list[dict[str, Any]]:
        found = []
        for name, file in files.items():
            path = name.removeprefix(f"{repository}/")
            if path != name and path.rpartition("/")[0] == folder:
                size = file.stat().st_size
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                lfs = {"oid": digest, "size": size, "pointerSize": 9}
                found.append({"type": "file", "path": path, "size": size, "oid": "0", "lfs": lfs})
        return found

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
