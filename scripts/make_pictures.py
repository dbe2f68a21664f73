"""Make the templates' thumbnails and the pictures of the help pages from a run of the demo weights.

python scripts/make_pictures.py --host http://127.0.0.1:8188

Writes workflows/*.jpg and web/docs/images/*.png. A running ComfyUI with this pack is needed.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parent.parent
THUMBNAILS = REPOSITORY / "workflows"
HELP = REPOSITORY / "web" / "docs" / "images"
BACKGROUND = (32, 32, 36)
GAP = 6
NUM_FRAMES = 64
STAGES = (1, 3, 5, 10)
"""Steps after which the clip is shown on its way out of the noise."""

Pictures = list[Image.Image]


def extended(workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow of Apply MegActor on the whole example, with all that it makes shown as pictures.

    Nodes are named by what they show. KSamplerAdvanced stops on its way, for the pictures of that.
    """
    by_type = {node["class_type"]: name for name, node in workflow.items()}
    look, prepare = by_type["MegActorSegmentReference"], by_type["MegActorPrepareDriving"]
    apply, vae = by_type["MegActorApply"], [by_type["MegActorLoadModel"], 1]
    example, decode = by_type["MegActorExampleInputs"], by_type["VAEDecode"]
    workflow[prepare]["inputs"]["max_frames"] = NUM_FRAMES

    def show(name: str, images: list[Any]) -> None:
        workflow[name] = {"class_type": "PreviewImage", "inputs": {"images": images}}

    workflow["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": [look, 1]}}
    workflow["driver"] = {"class_type": "GetVideoComponents", "inputs": {"video": [example, 1]}}
    workflow["paste"] = {
        "class_type": "MegActorPasteBack",
        "inputs": {"frames": [decode, 0], "crop": [look, 3], "image": [example, 0]},
    }
    shown = {
        "original": [example, 0],
        "portrait": [look, 0],
        "foreground": ["mask", 0],
        "background": [look, 2],
        "driving": ["driver", 0],
        "condition": [prepare, 0],
        "result": [decode, 0],
        "pasted": ["paste", 0],
    }
    for stage in STAGES[:-1]:
        workflow[f"sample {stage}"] = {
            "class_type": "KSamplerAdvanced",
            "inputs": {
                "model": [apply, 0],
                "positive": [apply, 1],
                "negative": [apply, 2],
                "latent_image": [apply, 3],
                "add_noise": "enable",
                "noise_seed": 42,
                "steps": STAGES[-1],
                "cfg": 1.0,
                "sampler_name": "ddim",
                "scheduler": "simple",
                "start_at_step": 0,
                "end_at_step": stage,
                "return_with_leftover_noise": "enable",
            },
        }
        decoded = {"samples": [f"sample {stage}", 0], "vae": vae}
        workflow[f"decode {stage}"] = {"class_type": "VAEDecode", "inputs": decoded}
        shown[f"stage {stage}"] = [f"decode {stage}", 0]
    for name, images in shown.items():
        show(name, images)
    return workflow


def run(client: httpx.Client, workflow: dict[str, Any]) -> dict[str, Pictures]:
    """Pictures that each node shows.

    Raises:
        RuntimeError: the host refused the workflow, or a node has failed.
    """
    told = client.post("/prompt", json={"prompt": workflow}).json()
    if told.get("error") or told["node_errors"]:
        raise RuntimeError(json.dumps(told, indent=1))
    history: dict[str, Any] = {}
    while told["prompt_id"] not in history:
        time.sleep(1)
        history = client.get(f"/history/{told['prompt_id']}").json()
    record = history[told["prompt_id"]]
    if record["status"]["status_str"] != "success":
        raise RuntimeError(json.dumps(record["status"], indent=1))
    shown = {}
    for name, output in record["outputs"].items():
        files = [file for file in output.get("images", []) if file["filename"].endswith(".png")]
        answers = [client.get("/view", params=file) for file in files]
        shown[name] = [Image.open(io.BytesIO(answer.content)).convert("RGB") for answer in answers]
    return shown


def spread(pictures: Pictures, count: int) -> Pictures:
    """As many of the pictures, evenly spread over them."""
    return [pictures[round(index * (len(pictures) - 1) / (count - 1))] for index in range(count)]


def grid(rows: Sequence[Sequence[Image.Image | None]], side: int) -> Image.Image:
    """Square pictures in rows; None stays empty."""
    columns = max(map(len, rows))
    size = (columns * (side + GAP) - GAP, len(rows) * (side + GAP) - GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            if picture is not None:
                place = (column * (side + GAP), row * (side + GAP))
                sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), place)
    return sheet


def arrow(side: int) -> Image.Image:
    """What leads from one picture to the next."""
    tile = Image.new("RGB", (side, side), BACKGROUND)
    draw, middle, reach = ImageDraw.Draw(tile), side // 2, side // 4
    draw.line((middle - reach, middle, middle + reach, middle), fill="white", width=side // 24)
    tip = (middle + reach + side // 12, middle)
    draw.polygon(
        [tip, (middle + reach // 2, middle - reach // 2), (middle + reach // 2, middle + reach // 2)], "white"
    )
    return tile


def marked(picture: Image.Image, foreground: Image.Image) -> Image.Image:
    """The person as it is, the rest dark."""
    foreground = foreground.convert("L").resize(picture.size)
    return Image.composite(picture, Image.eval(picture, lambda value: value // 4), foreground)


def thumbnails(shown: dict[str, Pictures]) -> dict[str, Image.Image]:
    """A square picture for each template."""
    (portrait,), (foreground,), (background,) = shown["portrait"], shown["foreground"], shown["background"]
    result, driving, condition = shown["result"], shown["driving"], shown["condition"]
    frames = spread(result, 4)
    stages = [shown[f"stage {stage}"][-1] for stage in STAGES[:-1]] + [result[-1]]
    drivers = spread(driving, 4)
    return {
        "1_animate_portrait": grid([[portrait, frames[1]], [frames[2], frames[3]]], 256),
        "2_step_by_step": grid(
            [
                [portrait, foreground, background],
                [drivers[1], spread(condition, 4)[1], drivers[3]],
                [frames[1], frames[2], frames[3]],
            ],
            170,
        ),
        "3_ksampler_native_model": grid([stages[:2], stages[2:]], 256),
        "4_long_video": grid([spread(result, 16)[row * 4 : row * 4 + 4] for row in range(4)], 126),
        "5_host_landmarks_and_background_removal": grid(
            [[portrait, foreground], [marked(portrait, foreground), frames[3]]], 256
        ),
        "6_official_megactor": grid([[portrait, drivers[3]], [drivers[1], drivers[2]]], 256),
    }


def help_pictures(shown: dict[str, Pictures]) -> dict[str, Image.Image]:
    """A picture for the help page of each node."""
    (portrait,), (foreground,), (background,) = shown["portrait"], shown["foreground"], shown["background"]
    (original,) = shown["original"]
    result, condition, driving = (spread(shown[name], 6) for name in ("result", "condition", "driving"))
    side = 112
    lead = arrow(side)
    stages = [shown[f"stage {stage}"][-1] for stage in STAGES[:-1]] + [shown["result"][-1]]
    return {
        "MegActorLoadModel": grid([[portrait, lead, *result[1:5]]], side),
        "MegActorExampleInputs": grid([[original, None, *driving[1:]]], side),
        "MegActorSegmentReference": grid([[original, lead, portrait, foreground, background]], side),
        "MegActorEncodeReference": grid([[portrait, foreground, lead, marked(portrait, foreground)]], side),
        "MegActorEncodeBackground": grid([[portrait, lead, background]], side),
        "MegActorPrepareDriving": grid([driving, condition], side),
        "MegActorEncodeDriving": grid([condition], side),
        "MegActorSampler": grid([stages], side),
        "MegActorApply": grid([[*stages[:3], lead, stages[3]]], side),
        "MegActorPasteBack": grid([[original, shown["result"][-1], lead, shown["pasted"][-1]]], side),
        "MegActorAnimatePortrait": grid([[None, *driving[1:]], [portrait, *result[1:]]], side),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="http://127.0.0.1:8188", help="address of a running ComfyUI")
    options = parser.parse_args()
    workflow = json.loads((REPOSITORY / "workflows" / "api" / "3_ksampler_native_model.json").read_text())
    with httpx.Client(base_url=options.host, timeout=60, trust_env=False) as client:
        shown = run(client, extended(workflow))
    for name, picture in thumbnails(shown).items():
        picture.save(THUMBNAILS / f"{name}.jpg", quality=88)
    HELP.mkdir(exist_ok=True)
    for name, picture in help_pictures(shown).items():
        picture.quantize(256).save(HELP / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
