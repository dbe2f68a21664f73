"""Node: sound as the denoiser's condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import Input, io

from ..megactor_core.animation.options import MotionOptions
from . import types
from .family_checks import check_family
from .widgets import widget

if TYPE_CHECKING:
    from .host.portrait_model import PortraitModel


class EncodeAudio(io.ComfyNode):
    """Sound in, what every frame hears out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorEncodeAudio",
            display_name="Encode Audio",
            category="MegActor",
            description="Encodes speech, which then moves the lips. Any sampling rate, channels and length; "
            "where the sound is shorter than the clip, silence follows.",
            search_aliases=["speech", "lip sync", "talking head", "whisper", "audio driven"],
            inputs=[
                types.Model.Input("model", tooltip="From Load MegActor Model; a model that hears."),
                io.Audio.Input(
                    "audio",
                    tooltip="What is said, from the first frame on: from Load Audio, or the driver's own "
                    "sound from Prepare Driving.",
                ),
                widget(MotionOptions, "frame_rate", "of the clip, from Prepare Driving."),
                io.Int.Input(
                    "num_frames",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    tooltip="Frames of the clip, from Prepare Driving. 0: as long as the sound lasts.",
                ),
            ],
            outputs=[
                types.Audio.Output(
                    "audio_out",
                    display_name="audio",
                    tooltip="What is heard, for Sample MegActor Clip or Apply MegActor.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: None = None) -> bool | str:
        from ..megactor_core.animation.checks import check_motion

        return check_family(cls.hidden.unique_id, lambda config, _: check_motion(config, True, True))

    @classmethod
    def execute(
        cls, model: PortraitModel, audio: Input.Audio | None, frame_rate: float, num_frames: int
    ) -> io.NodeOutput:
        from .host.encoding import encode_audio

        return io.NodeOutput(encode_audio(model, audio, frame_rate, num_frames))
