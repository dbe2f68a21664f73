"""A node pack that only the tests load: their own nodes, and what the host's process holds in memory."""

import gc
import sys

import comfy.model_management
import numpy as np
import torch
from aiohttp import web
from server import PromptServer


class Anything:
    """A text that fits every input, as an output of unknown type does."""

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        return {"required": {"text": ("STRING",)}}

    RETURN_TYPES = ("*",)
    FUNCTION = "give"

    def give(self, text: str) -> tuple[str]:
        return (text,)


class Faces:
    """Stands for Detect Face Landmarks: the same face in the middle of every frame."""

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        return {"required": {"width": ("INT",), "height": ("INT",), "num_frames": ("INT",)}}

    RETURN_TYPES = ("FACE_LANDMARKS",)
    FUNCTION = "find"

    def find(self, width: int, height: int, num_frames: int) -> tuple[dict]:
        random = np.random.default_rng(0)
        points = (0.25 + 0.5 * random.random((478, 2))) * (width, height)
        box = [width / 4, height / 4, width * 3 / 4, height * 3 / 4]
        face = {"bbox_xyxy": box, "landmarks_xy": points, "score": 1.0}
        return ({"frames": [[face]] * num_frames, "image_size": (height, width)},)


NODE_CLASS_MAPPINGS = {"TestAnything": Anything, "TestFaces": Faces}


@PromptServer.instance.routes.get("/test_companion/process")
async def process(request: web.Request) -> web.Response:
    """Imported modules; models on a device with their bytes there; what was asked for and is not done yet."""
    loaded = comfy.model_management.current_loaded_models
    models = [{"name": type(one.model.model).__name__, "bytes": one.model.loaded_size()} for one in loaded]
    asked = list(PromptServer.instance.prompt_queue.flags)
    return web.json_response({"modules": sorted(sys.modules), "models": models, "asked": asked})


@PromptServer.instance.routes.get("/test_companion/tensors")
async def tensors(request: web.Request) -> web.Response:
    """Bytes of all tensors in memory; those that share memory count once."""
    gc.collect()
    storages = {}
    for one in gc.get_objects():
        if isinstance(one, torch.Tensor) and one.layout == torch.strided and not one.is_meta:
            storages[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
    return web.json_response({"bytes": sum(storages.values())})
