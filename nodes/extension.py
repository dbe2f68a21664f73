"""Extension of the host: nodes, models folder and templates."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .host.linked_model import watch_prompts
from .host.model_files import register_folder
from .host.templates import serve_templates


class MegActorExtension(ComfyExtension):
    """V3 extension; see https://docs.comfy.org/custom-nodes/v3_migration."""

    async def on_load(self) -> None:
        register_folder()
        watch_prompts()
        serve_templates()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .animate_portrait import AnimatePortrait
        from .apply import ApplyMegActor
        from .control_strength import ControlStrength
        from .encode_audio import EncodeAudio
        from .encode_background import EncodeBackground
        from .encode_driving import EncodeDriving
        from .encode_reference import EncodeReference
        from .example_inputs import ExampleInputs
        from .load_lora import LoadMegActorLora
        from .load_model import LoadMegActorModel
        from .motion_amplitude import MotionAmplitude
        from .paste_back import PasteBack
        from .prepare_driving import PrepareDriving
        from .sampler import MegActorSampler
        from .segment_reference import SegmentReference

        return [
            LoadMegActorModel,
            LoadMegActorLora,
            SegmentReference,
            EncodeReference,
            EncodeBackground,
            PrepareDriving,
            EncodeDriving,
            EncodeAudio,
            MotionAmplitude,
            ControlStrength,
            MegActorSampler,
            ApplyMegActor,
            PasteBack,
            AnimatePortrait,
            ExampleInputs,
        ]
