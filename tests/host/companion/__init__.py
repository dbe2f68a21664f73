"""A node pack that only the tests load: tells what the host's process holds in memory."""

import gc
import sys

import comfy.model_management
import torch
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict = {}


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
