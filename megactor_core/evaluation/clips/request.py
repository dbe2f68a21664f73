"""Request of an evaluation on real clips; a report can be made again from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ... import limits
from ...animation.options import DrivingOptions
from ...families.registry import default_family
from ...models.conditions import ControlStrength
from ...sampling.sampler import SamplingSettings

Scale = Annotated[float, Field(ge=-limits.SCALE, le=limits.SCALE)]
FrameNumber = Annotated[int, Field(ge=0, le=limits.COUNT)]


class EvaluationRequest(DrivingOptions):
    """Settings of an evaluation: model, clips, instruments, and the driving mode."""

    protocol: Literal[1] = Field(1, description="the way of measuring; another is not comparable")
    test: Literal["self", "cross"]
    model: str = Field(description=f"demo, {default_family().name} ... or a model folder")
    base: Path | None = Field(None, description="another Stable Diffusion 1.5 under the model")
    loras: tuple[tuple[Path, Scale], ...] = Field((), description="files and scales, in their order")
    data: Path = Field(description="folder of videos or shards")
    portraits: Path | None = Field(None, description="cross: folder of pictures to animate")
    held_out: float | None = Field(
        None, gt=0, lt=1, description="only identities that a training on these shards kept back"
    )
    clips: int | None = Field(
        None, ge=1, le=limits.COUNT, description="clips drawn by the seed; all without a number"
    )
    frames: int = Field(16, ge=2, le=limits.COUNT, description="frames of each clip")
    stride: int = Field(
        1, ge=1, le=limits.COUNT, description="frames of the file from one of these to the next"
    )
    reference_frame: FrameNumber | Literal["random"] = Field(
        0, description="self: the frame that is animated"
    )
    crop: Literal["face", "whole", "squash"] = Field("face", description="the square of every picture")
    speech: bool = Field(False, description="the clip's own sound moves the lips")
    size: int = Field(ge=0, le=limits.PIXELS, description="side of the squares in pixels")
    sampling: SamplingSettings
    strengths: dict[str, ControlStrength] = Field({}, description="of ControlNets, by name")
    device: str
    dtype: Literal["float16", "bfloat16", "float32"]
    models_folder: Path | None = None
    face_detector: Path | None = None
    landmarker: Path | None = None
    lpips_weights: Path | None = None
    identity_weights: Path | None = None
    fvd_weights: Path | None = None

    @property
    def seed(self) -> int:
        """Of clips, pairs and sampling."""
        return self.sampling.seed
