"""Speaks to a running ComfyUI as its page does: prompts, the messages about them, and files."""

from __future__ import annotations

import json
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import websocket

Workflow = Mapping[str, Mapping[str, Any]]
"""API format: node id to {"class_type", "inputs"}."""

PREVIEW_IMAGE, PREVIEW_IMAGE_WITH_METADATA = 1, 4
"""Kinds of binary messages; see BinaryEventTypes of the host."""


class Rejected(Exception):
    """The host refused a prompt, or would have left out a part of it.

    Attributes:
        node_errors: node id to {"class_type", "errors": [{"message", "details", ...}]}.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.error: Mapping[str, Any] = answer.get("error") or {}
        self.node_errors: Mapping[str, Any] = answer.get("node_errors") or {}
        super().__init__(json.dumps({"error": self.error, "node_errors": self.node_errors}, indent=1))


@dataclass(frozen=True)
class Preview:
    """One picture shown while a node works.

    Attributes:
        node: id of the node that shows it.
        image: bytes of a JPEG or PNG file.
    """

    node: str
    image: bytes


@dataclass(frozen=True)
class NodeFailure:
    """What a node ended with."""

    node: str
    node_type: str
    exception: str
    message: str


@dataclass(frozen=True)
class Run:
    """What became of a prompt.

    Attributes:
        status: "success", "error" or "interrupted".
        ran: nodes that were executed, in order; expanded ones as "3.0.1".
        cached: nodes whose earlier result was taken.
        outputs: node id to what its output shows, e.g. {"images": [{"filename", "subfolder", "type"}]}.
        progress: node id to all (value, maximum) that it announced.
        failure: set where status is "error".
        seconds: from queueing to the end.
    """

    prompt_id: str
    status: str
    ran: tuple[str, ...]
    cached: tuple[str, ...]
    outputs: Mapping[str, Mapping[str, Any]]
    progress: Mapping[str, tuple[tuple[float, float], ...]]
    previews: tuple[Preview, ...]
    failure: NodeFailure | None
    seconds: float

    def files(self, node: str) -> list[Mapping[str, str]]:
        """Files that a node shows, whatever their kind, for ``Host.fetch``."""
        listed = [items for items in self.outputs.get(node, {}).values() if isinstance(items, list)]
        return [item for items in listed for item in items if isinstance(item, dict) and "filename" in item]


@dataclass
class _Record:
    ran: list[str] = field(default_factory=list)
    cached: tuple[str, ...] = ()
    progress: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    failure: NodeFailure | None = None


class Host:
    """A running ComfyUI at an address."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A proxy of the machine must not stand between the tests and their own host.
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON at a path."""
        answer = self.http.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, content: Any) -> None:
        self.http.post(path, json=content).raise_for_status()

    def object_info(self) -> dict[str, Any]:
        """Schemas of all nodes, as the page gets them."""
        return self.get("/object_info")

    def pack_schemas(self) -> dict[str, Any]:
        """Schemas of this pack's nodes."""
        return {
            name: schema
            for name, schema in self.object_info().items()
            if schema["python_module"] == "custom_nodes.MegActor"
        }

    def modules(self) -> set[str]:
        """Names of all modules the host has imported."""
        return set(self.get("/test_companion/process")["modules"])

    def tensor_bytes(self) -> int:
        """Memory of all tensors that the host's process holds."""
        return int(self.get("/test_companion/tensors")["bytes"])

    def loaded_models(self) -> list[dict[str, Any]]:
        """Models on the host's device now: {"name": class, "bytes": there}."""
        return self.get("/test_companion/process")["models"]

    def upload(self, file: Path) -> str:
        """Put a picture, video or sound into the host's input folder; the name by which nodes load it."""
        with file.open("rb") as content:
            answer = self.http.post(
                "/upload/image", files={"image": (file.name, content)}, data={"overwrite": "true"}
            )
        answer.raise_for_status()
        return str(answer.json()["name"])

    def fetch(self, file: Mapping[str, str]) -> bytes:
        """Content of a file that ``Run.files`` lists."""
        wanted = {name: file[name] for name in ("filename", "subfolder", "type")}
        answer = self.http.get("/view", params=wanted)
        answer.raise_for_status()
        return answer.content

    def history(self, prompt_id: str) -> dict[str, Any]:
        """The host's record of a finished prompt; written a moment after its last message."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            records = self.get(f"/history/{prompt_id}")
            if prompt_id in records:
                return dict(records[prompt_id])
            time.sleep(0.05)
        raise TimeoutError(f"the host keeps no record of prompt {prompt_id}")

    def interrupt(self, prompt_id: str) -> None:
        """Stop a running prompt; one that still waits is taken out of the queue."""
        self.post("/queue", {"delete": [prompt_id]})
        self.post("/interrupt", {"prompt_id": prompt_id})

    def free(self) -> None:
        """Have all models unloaded and all results forgotten, and wait until that is done."""
        deadline = time.monotonic() + 60
        wanted = {"unload_models": True, "free_memory": True}
        self.post("/free", wanted)
        while self.get("/test_companion/process")["asked"] or self.loaded_models():
            if time.monotonic() > deadline:
                raise TimeoutError("the host did not unload its models")
            time.sleep(0.2)
            # The host sleeps through a wish that comes just before it goes to sleep.
            self.post("/free", wanted)
        # The results go right after the models.
        time.sleep(0.5)

    def connect(self) -> Connection:
        return Connection(self)

    def run(self, workflow: Workflow, timeout: float = 300) -> Run:
        """Queue a workflow and follow it to its end."""
        with self.connect() as connection:
            return connection.follow(connection.queue(workflow), timeout)


class Connection:
    """One page: its prompts and the messages about them. Use it with ``with``."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.client_id = uuid.uuid4().hex

    def __enter__(self) -> Connection:
        address = self.host.url.replace("http", "ws", 1) + f"/ws?clientId={self.client_id}"
        self._socket = websocket.create_connection(address, timeout=60, http_no_proxy=["*"])
        # Without it previews come without the name of their node.
        wanted = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        self._socket.send(json.dumps(wanted))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def queue(self, workflow: Workflow) -> str:
        """Queue a workflow; the prompt's id.

        Raises:
            Rejected: the host refused it, wholly or, as it would silently do, in a part.
        """
        content = {"prompt": workflow, "client_id": self.client_id}
        answer = self.host.http.post("/prompt", json=content)
        told = answer.json()
        if answer.status_code == 200 and told["node_errors"]:
            self.host.interrupt(told["prompt_id"])
        if answer.status_code != 200 or told["node_errors"]:
            raise Rejected(told)
        return str(told["prompt_id"])

    def wait_for_progress(self, prompt_id: str, node: str, timeout: float = 120) -> None:
        """Return as soon as the node has announced progress."""
        deadline = time.monotonic() + timeout
        while True:
            kind, data = self._receive(deadline)
            self._raise_where_it_ended(kind, data, prompt_id)
            if kind == "progress_state" and data["prompt_id"] == prompt_id:
                if data["nodes"].get(node, {}).get("value", 0) > 0:
                    return

    def follow(self, prompt_id: str, timeout: float = 300) -> Run:
        """Read messages until the prompt has ended.

        Prompts of one connection are followed in the order in which they were queued.
        """
        start = time.monotonic()
        record = _Record()
        status = None
        while status is None:
            kind, data = self._receive(start + timeout)
            if data.get("prompt_id") == prompt_id:
                status = _note(record, kind, data)
        seconds = time.monotonic() - start
        return Run(
            prompt_id=prompt_id,
            status=status,
            ran=tuple(record.ran),
            cached=record.cached,
            outputs=self.host.history(prompt_id)["outputs"],
            progress={node: tuple(steps) for node, steps in record.progress.items()},
            previews=tuple(record.previews),
            failure=record.failure,
            seconds=seconds,
        )

    @staticmethod
    def _raise_where_it_ended(kind: str, data: Mapping[str, Any], prompt_id: str) -> None:
        ends = ("execution_success", "execution_error", "execution_interrupted")
        if kind in ends and data["prompt_id"] == prompt_id:
            raise AssertionError(f"the prompt ended before the progress it was watched for: {kind} {data}")

    def _receive(self, deadline: float) -> tuple[str, dict[str, Any]]:
        """Kind and data of the next message; a preview is of the kind "preview"."""
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            message = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            raise TimeoutError("the prompt took longer than it was given") from None
        if isinstance(message, bytes):
            return _preview(message)
        content = json.loads(message)
        return content["type"], content.get("data") or {}


def _preview(message: bytes) -> tuple[str, dict[str, Any]]:
    (kind,) = struct.unpack(">I", message[:4])
    if kind != PREVIEW_IMAGE_WITH_METADATA:
        return "binary", {}
    (length,) = struct.unpack(">I", message[4:8])
    metadata = json.loads(message[8 : 8 + length])
    return "preview", {**metadata, "image": message[8 + length :]}


def _note(record: _Record, kind: str, data: dict[str, Any]) -> str | None:
    """Write a message down; the prompt's status where this was its last."""
    if kind == "executing" and data["node"] is not None:
        record.ran.append(data["node"])
    elif kind == "execution_cached":
        record.cached = tuple(data["nodes"])
    elif kind == "progress_state":
        for node, state in data["nodes"].items():
            steps = record.progress.setdefault(node, [])
            step = (state["value"], state["max"])
            if not steps or steps[-1] != step:
                steps.append(step)
    elif kind == "preview":
        record.previews.append(Preview(data["node_id"], data["image"]))
    elif kind == "execution_error":
        record.failure = NodeFailure(
            data["node_id"], data["node_type"], data["exception_type"], data["exception_message"]
        )
        return "error"
    elif kind == "execution_interrupted":
        return "interrupted"
    elif kind == "execution_success":
        return "success"
    return None


def nodes_of(workflow: Workflow, class_type: str) -> list[str]:
    """Ids of a workflow's nodes of one type."""
    return [name for name, node in workflow.items() if node["class_type"] == class_type]
