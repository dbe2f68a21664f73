"""Animate a portrait with a ComfyUI that runs somewhere, without its page: upload, queue, follow, fetch.

    python run_api.py WORKFLOW.json --portrait me.png --driving dance.mp4 --output results

A workflow in API format is what ComfyUI's menu exports ("Export (API)"); workflows/api has some. The portrait
goes to its Load Image nodes, the driver to its Load Video nodes, both in place of Load MegActor Example;
speech goes to its Load Audio nodes, or else wherever a sound is linked.
Copy this file and change it. It needs only aiohttp, which ComfyUI needs too: ComfyUI's own Python runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import aiohttp

Workflow = dict[str, dict[str, Any]]


def read_workflow(file: Path) -> Workflow:
    """A workflow in API format: nodes by their id."""
    try:
        workflow = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as problem:
        sys.exit(f"error: {file} is not JSON: {problem}")
    nodes = workflow.values() if isinstance(workflow, dict) else [None]
    if not all(isinstance(node, dict) and {"class_type", "inputs"} <= node.keys() for node in nodes):
        sys.exit(f"error: {file} is no workflow in API format; ComfyUI's menu exports one: Export (API)")
    return workflow


async def upload(session: aiohttp.ClientSession, file: Path) -> str:
    """Put a picture, video or sound into ComfyUI's input folder; the name it has there."""
    form = aiohttp.FormData()
    name = os.fsencode(file.name).decode(errors="replace")  # a file's name need not be text
    form.add_field("image", file.read_bytes(), filename=name)  # the field's name for all kinds
    form.add_field("overwrite", "true")
    async with session.post("/upload/image", data=form) as answer:
        answer.raise_for_status()
        stored = await answer.json()
    return f"{stored['subfolder']}/{stored['name']}" if stored["subfolder"] else stored["name"]


def take_file(workflow: Workflow, loader: str, widget: str, name: str, example_output: int) -> None:
    """Have a workflow load this file where it loads one of its kind, or the pack's example."""
    examples = [key for key, node in workflow.items() if node["class_type"] == "MegActorExampleInputs"]
    replaced = [[key, example_output] for key in examples]
    loaders = [node for node in workflow.values() if node["class_type"] == loader]
    for node in loaders:
        node["inputs"][widget] = name
    links = [
        (node["inputs"], key)
        for node in workflow.values()
        for key, value in node["inputs"].items()
        if value in replaced
    ]
    if not loaders and not links:
        sys.exit(f"error: the workflow has neither a {loader} nor a MegActorExampleInputs node for {name}")
    if links:
        added = f"run_api_{loader}"
        workflow[added] = {"class_type": loader, "inputs": {widget: name}}
        for inputs, key in links:
            inputs[key] = [added, 0]


def take_speech(workflow: Workflow, name: str) -> None:
    """Have a workflow load this sound where it loads one, or wherever it links another node's."""
    loaders = [node for node in workflow.values() if node["class_type"] == "LoadAudio"]
    for node in loaders:
        node["inputs"]["audio"] = name
    if loaders:
        return
    listeners = [node for node in workflow.values() if isinstance(node["inputs"].get("audio"), list)]
    if not listeners:
        sys.exit(f"error: the workflow has neither a LoadAudio node nor a link to an audio input for {name}")
    workflow["run_api_LoadAudio"] = {"class_type": "LoadAudio", "inputs": {"audio": name}}
    for node in listeners:
        node["inputs"]["audio"] = ["run_api_LoadAudio", 0]


def set_widgets(workflow: Workflow, settings: list[str]) -> None:
    """Change widgets given as NODE.INPUT=VALUE; VALUE is read as JSON where it is JSON."""
    for setting in settings:
        place, _, value = setting.partition("=")
        node, _, widget = place.partition(".")
        if node not in workflow or widget not in workflow[node]["inputs"]:
            sys.exit(f"error: --set {setting}: the workflow has no {place}. Its nodes: {', '.join(workflow)}")
        try:
            workflow[node]["inputs"][widget] = json.loads(value)
        except ValueError:
            workflow[node]["inputs"][widget] = value


async def queue(session: aiohttp.ClientSession, workflow: Workflow, client: str) -> str:
    """Queue a workflow; the prompt's id."""
    async with session.post("/prompt", json={"prompt": workflow, "client_id": client}) as answer:
        told = await answer.json()
    # ComfyUI accepts a workflow of which a part is wrong, and leaves that part out.
    if answer.status != 200 or told.get("node_errors"):
        if "prompt_id" in told:
            await session.post("/queue", json={"delete": [told["prompt_id"]]})
            await session.post("/interrupt", json={"prompt_id": told["prompt_id"]})
        lines = [told["error"]["message"]] if told.get("error") else []
        for node, problem in (told.get("node_errors") or {}).items():
            for error in problem["errors"]:
                lines.append(f"{problem['class_type']} ({node}): {error['message']}: {error['details']}")
        sys.exit("error: ComfyUI refuses the workflow\n" + "\n".join(lines))
    return str(told["prompt_id"])


async def follow(socket: aiohttp.ClientWebSocketResponse, workflow: Workflow, prompt: str) -> None:
    """Show progress until the prompt has ended; standard output is left to the names of the results."""
    async for message in socket:
        if message.type != aiohttp.WSMsgType.TEXT:
            continue  # previews
        event = json.loads(message.data)
        kind, data = event["type"], event.get("data") or {}
        if data.get("prompt_id") != prompt:
            continue
        if kind == "progress":
            title = workflow.get(data["node"], {}).get("class_type", data["node"])
            print(
                f"\r{title} {data['value']:g}/{data['max']:g}".ljust(60), end="", file=sys.stderr, flush=True
            )
        elif kind == "execution_success":
            print("\r".ljust(61), end="\r", file=sys.stderr)
            return
        elif kind == "execution_error":
            sys.exit(f"\nerror: {data['node_type']} ({data['node_id']}): {data['exception_message'].strip()}")
        elif kind == "execution_interrupted":
            sys.exit("\nerror: somebody cancelled the prompt")
    sys.exit("\nerror: the connection to ComfyUI was lost")


async def fetch(session: aiohttp.ClientSession, workflow: Workflow, prompt: str, folder: Path) -> list[Path]:
    """Download what the workflow's save nodes wrote."""
    history: dict[str, Any] = {}
    while prompt not in history:  # written a moment after the prompt's last message
        async with session.get(f"/history/{prompt}") as answer:
            history = await answer.json()
    files = [
        item
        # in the workflow's order; the history has them as they happened to be done
        for shown in (history[prompt]["outputs"].get(node, {}) for node in workflow)
        for items in shown.values()
        for item in items
        if isinstance(item, dict) and item.get("type") == "output"
    ]
    written = []
    for file in files:
        parameters = {key: file[key] for key in ("filename", "subfolder", "type")}
        async with session.get("/view", params=parameters) as answer:
            answer.raise_for_status()
            path = folder / file["filename"]
            path.write_bytes(await answer.read())
            written.append(path)
    return written


async def run(options: argparse.Namespace) -> None:
    workflow = read_workflow(options.workflow)
    options.output.mkdir(parents=True, exist_ok=True)
    client = uuid.uuid4().hex
    server = options.server if "://" in options.server else f"http://{options.server}"
    async with aiohttp.ClientSession(server, timeout=aiohttp.ClientTimeout(total=None)) as session:
        if options.portrait:
            take_file(workflow, "LoadImage", "image", await upload(session, options.portrait), 0)
        if options.driving:
            take_file(workflow, "LoadVideo", "file", await upload(session, options.driving), 1)
        if options.speech:
            take_speech(workflow, await upload(session, options.speech))
        set_widgets(workflow, options.set)
        # Connected before the prompt is queued, so that no message is missed.
        async with session.ws_connect("/ws", params={"clientId": client}, max_msg_size=0) as socket:
            prompt = await queue(session, workflow, client)
            await follow(socket, workflow, prompt)
        written = await fetch(session, workflow, prompt, options.output)
    if not written:
        sys.exit("error: the workflow ran, but it has no node that saves something")
    for path in written:
        print(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workflow", type=Path, help="workflow in API format")
    parser.add_argument("--portrait", type=Path, help="picture of the person")
    parser.add_argument("--driving", type=Path, help="video whose motion is taken")
    parser.add_argument("--speech", type=Path, help="sound that moves the lips, for MegActor-Sigma")
    parser.add_argument("--set", metavar="NODE.INPUT=VALUE", action="append", default=[], help="set a widget")
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="address of ComfyUI")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder for the results")
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        asyncio.run(run(options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except (aiohttp.ClientError, ValueError) as problem:
        sys.exit(f"error: no ComfyUI answers at {options.server}: {problem}")
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else what is left to print is complained of again
        sys.exit(141 if isinstance(problem, BrokenPipeError) else f"error: {problem}")


if __name__ == "__main__":
    main()
