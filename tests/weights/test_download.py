"""Downloads resume, are checked before they count, and say what to do without a connection."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

from megactor_core.errors import InputError
from megactor_core.families.family import KnownFile
from megactor_core.weights.catalogue import catalogue, find_known
from megactor_core.weights.download import fetch, fetch_file, is_present, local_path
from megactor_core.weights.folders import models_folder

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0" * 40


@dataclass
class Server:
    """A file server with byte ranges and the few hub routes that a download asks for."""

    address: str
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    remaining: int | None = None  # bytes it still sends before it hangs up; None is no limit


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.command, self.path, wanted))
            if "/tree/" in self.path:
                return self.send_tree()
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            payload = b"{}" if self.path.endswith("config.json") else CONTENT
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(payload) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(payload) - 1}/{len(payload)}")
            self.send_header("ETag", f'"{hashlib.sha256(payload).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                sent = self.wfile.write(payload[start:][: state.remaining])
                if state.remaining is not None:
                    state.remaining -= sent
                    self.close_connection = True

        def send_tree(self) -> None:
            folder = self.path.split("/tree/main/")[1].split("?")[0].rstrip("/")
            listed = (
                f'[{{"type":"file","path":"{folder}/config.json","size":2,"oid":"a"}},'
                f'{{"type":"file","path":"{folder}/pytorch_model.bin","size":{len(CONTENT)},"oid":"b",'
                f'"lfs":{{"oid":"{SHA256}","size":{len(CONTENT)},"pointerSize":9}}}},'
                f'{{"type":"file","path":"{folder}/README.md","size":2,"oid":"c"}}]'
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(listed)))
            self.end_headers()
            self.wfile.write(listed)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state = Server(f"http://127.0.0.1:{http.server_address[1]}")
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield state
        http.shutdown()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def known(server: Server) -> KnownFile:
    return KnownFile(
        name="detector",
        family="vision",
        file="detector.onnx",
        path=f"{server.address}/files/detector.onnx",
        licence="MIT",
        purpose="a test",
        size=len(CONTENT),
        sha256=SHA256,
    )


@pytest.fixture
def on_hub(known: KnownFile, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownFile:
    for name in ("huggingface_hub.constants.ENDPOINT", "huggingface_hub.file_download.constants.ENDPOINT"):
        monkeypatch.setattr(name, server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    return replace(known, repository="owner/detector", path="detector.onnx")


@pytest.mark.parametrize("kind", ["known", "on_hub"])
def test_a_missing_file_is_downloaded_once(
    kind: str, request: pytest.FixtureRequest, server: Server, tmp_path: Path
) -> None:
    row: KnownFile = request.getfixturevalue(kind)

    path = fetch_file(row, tmp_path)
    count = len(server.requests)

    assert path == tmp_path / "detector.onnx" and path.read_bytes() == CONTENT
    assert fetch_file(row, tmp_path) == path and len(server.requests) == count
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["detector.onnx"]


def test_a_local_file_always_wins(known: KnownFile, server: Server, tmp_path: Path) -> None:
    (tmp_path / "detector.onnx").write_bytes(b"my own")

    assert fetch_file(known, tmp_path).read_bytes() == b"my own"
    assert server.requests == []


def test_an_interrupted_download_continues(known: KnownFile, server: Server, tmp_path: Path) -> None:
    staged = tmp_path / ".incomplete" / "detector" / "detector.onnx"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(CONTENT[:300_000])

    assert fetch_file(known, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, _, wanted in server.requests] == ["bytes=300000-"]


@pytest.mark.parametrize("kind", ["known", "on_hub"])
def test_a_download_tells_how_far_it_is_and_can_be_stopped_and_continued(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cancelled(BaseException):
        pass

    row: KnownFile = request.getfixturevalue(kind)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if done == 300_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch_file(row, tmp_path, tell)
    assert not (tmp_path / "detector.onnx").exists()
    assert fetch_file(row, tmp_path, tell).read_bytes() == CONTENT
    assert told[2:4] == [(300_000, len(CONTENT)), (400_000, len(CONTENT))]
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_leaves_no_file_and_the_next_call_finishes(
    known: KnownFile, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    server.remaining = 100_000
    with pytest.raises(InputError, match="could not be downloaded"):
        fetch_file(known, tmp_path)
    assert not (tmp_path / "detector.onnx").exists()

    server.remaining = None
    assert fetch_file(known, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][2] == "bytes=100000-"


@pytest.mark.parametrize("kind", ["known", "on_hub"])
def test_a_file_with_the_wrong_digest_does_not_count(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    row = replace(request.getfixturevalue(kind), sha256="1" * 64)

    with pytest.raises(InputError, match=f"sha256 {SHA256} instead of 1111"):
        fetch_file(row, tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_folder_is_fetched_with_the_digests_that_the_hub_announces(
    on_hub: KnownFile, server: Server, tmp_path: Path
) -> None:
    row = replace(on_hub, file="encoder/", path="weights/encoder/", size=None, sha256=None)

    folder = fetch_file(row, tmp_path)

    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "pytorch_model.bin"]
    assert (folder / "pytorch_model.bin").read_bytes() == CONTENT
    (folder / "config.json").unlink()
    assert not is_present(row, tmp_path)
    fetch_file(row, tmp_path)
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("kind", ["known", "on_hub"])
def test_without_a_connection_the_error_says_what_to_put_where(
    kind: str, request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: KnownFile = request.getfixturevalue(kind)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.utils.close_session()

    with pytest.raises(InputError) as caught:
        fetch_file(row, tmp_path)

    message = str(caught.value)
    for part in ("detector.onnx", row.address, f"{len(CONTENT):,} bytes", str(tmp_path / "detector.onnx")):
        assert part in message
    assert "\n" not in message and server.requests == []


def test_an_unknown_name_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"face-detector.*megactor-checkpoint"):
        fetch("yunet", tmp_path)


def test_a_family_stands_for_the_files_it_needs() -> None:
    names = [known.name for known in find_known("megactor")]

    assert "megactor-checkpoint" in names and "megactor-base-unet" not in names


def test_every_row_can_be_checked_and_none_shares_a_place(tmp_path: Path) -> None:
    rows = catalogue()
    assert len({known.name for known in rows}) == len({known.file for known in rows}) == len(rows)
    for known in rows:
        assert known.address.startswith("https://") and known.licence and known.purpose
        assert known.sha256 is None or (len(known.sha256) == 64 and known.size)
        assert local_path(known, tmp_path).is_relative_to(tmp_path)


def test_the_models_folder_is_the_argument_then_the_environment_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEGACTOR_MODELS", str(tmp_path / "environment"))
    assert models_folder(tmp_path / "argument") == tmp_path / "argument"
    assert models_folder() == tmp_path / "environment"
    monkeypatch.delenv("MEGACTOR_MODELS")
    assert models_folder().name == "megactor"
