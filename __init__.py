"""Entry of the pack for ComfyUI. Nothing is imported before the host asks for the nodes."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """The pack's nodes, for the host's V3 loader."""
    from .nodes.extension import MegActorExtension

    return MegActorExtension()
