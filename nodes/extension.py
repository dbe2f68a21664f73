"""What the pack adds to the host: its nodes, its models folder and its templates."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .host.model_files import register_folder
from .host.templates import serve_templates


class MegActorExtension(ComfyExtension):
    """V3 extension; see https://docs.comfy.org/custom-nodes/v3_migration."""

    async def on_load(self) -> None:
        register_folder()
        serve_templates()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .animate_portrait import AnimatePortrait
        from .apply import ApplyMegActor
        from .encode_background import EncodeBackground
        from .encode_driving import EncodeDriving
        from .encode_reference import EncodeReference
        from .example_inputs import ExampleInputs
        from .load_model import LoadMegActorModel
        from .paste_back import PasteBack
        from .prepare_driving import PrepareDriving
        from .sampler import MegActorSampler
        from .segment_reference import SegmentReference

        return [
            LoadMegActorModel,
            SegmentReference,
            EncodeReference,
            EncodeBackground,
            PrepareDriving,
            EncodeDriving,
            MegActorSampler,
            ApplyMegActor,
            PasteBack,
            AnimatePortrait,
            ExampleInputs,
        ]
