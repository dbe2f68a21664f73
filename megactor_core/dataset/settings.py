"""Settings of the steps over shards, and what a step returns."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from .. import limits
from ..errors import InputError
from ..section import Section
from .shards import Entry, Sample


class StepSettings(Section):
    """Settings of one step; fields that do not change its result are excluded from ``model_dump``."""

    step: ClassVar[str]

    @property
    def gpus(self) -> int:
        """GPUs that one shard's job needs; Ray gives it a machine that has them."""
        return 0

    def check(self) -> None:
        """Make sure that the step can run, before any work.

        Raises:
            InputError: a missing file, package or program.
        """

    def facts(self) -> dict[str, Any]:
        """The settings that decide the result, as JSON has them."""
        return self.model_dump(mode="json")


class SampleSettings(StepSettings):
    """Settings of a step that turns the samples of a shard into those of another, one by one.

    ``needs_files`` says that the step reads files of its own, such as a detector's, whatever the shard.
    """

    needs_files: ClassVar[bool] = False


@dataclass(frozen=True)
class Kept:
    """A sample that goes on.

    Attributes:
        sample: its parts, old and new.
        note: what could not be done for it, in words that many samples share; empty if nothing.
        detail: more about that.
    """

    sample: Sample
    note: str = ""
    detail: str = ""


class Rejected(Exception):
    """A sample does not go on.

    Args:
        reason: in words that many samples share, so that they can be counted.
        detail: more about this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


Worker = Callable[[Entry], Kept]
"""Looks at one sample; raises ``Rejected`` or ``BrokenSample`` where it cannot go on."""


def digest(*values: Any) -> str:
    """A short name for what JSON can hold: equal values, equal names."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class PackSettings(StepSettings):
    """Cut videos into clips at their shot boundaries, encode them alike (H.264, even size), pack them."""

    step: ClassVar[str] = "pack"
    frame_rate: float = Field(30.0, gt=0, le=240, description="frames per second of the clips")
    shortest_side: int = Field(
        720, ge=16, le=limits.PIXELS, description="larger videos are scaled down to this, in pixels"
    )
    minimum_seconds: float = Field(1.0, gt=0, le=86400, description="shorter shots are left out")
    maximum_seconds: float = Field(10.0, gt=0, le=86400, description="longer shots are cut into equal pieces")
    clips_per_shard: int = Field(64, ge=1, le=100_000, description="clips per shard; one shard is one job")
    identity: Literal["file", "folder"] = Field(
        "file", description="what stands for a person: each video, or each folder of videos"
    )


class FacesSettings(SampleSettings):
    """Find the face in every frame; leave out clips without a steady, large, lit face."""

    step: ClassVar[str] = "faces"
    needs_files: ClassVar[bool] = True
    face_detector: Path | None = Field(
        None, exclude=True, description="YuNet's ONNX file; else the one in the models folder"
    )
    landmarker: Path | None = Field(
        None, description="MediaPipe's face_landmarker.task, for 68 landmarks instead of five points"
    )
    minimum_face_ratio: float = Field(
        0.2, ge=0, le=1, description="smallest share of the clip's square that the face may cover"
    )
    minimum_luma: float = Field(5.0, ge=0, le=255, description="darker frames do not count")
    minimum_frames: int = Field(
        23, ge=1, le=limits.COUNT, description="frames that count which a clip must have"
    )
    maximum_lost: float = Field(0.1, ge=0, le=1, description="share of frames in which no face is seen")
    maximum_jump: float = Field(
        0.5, gt=0, le=1000, description="way of the face's centre from frame to frame, in widths of the face"
    )


class ValidSettings(SampleSettings):
    """Keep the clips in nearly all frames of which one person is seen, large and whole."""

    step: ClassVar[str] = "valid"
    minimum_frames: int = Field(60, ge=1, le=limits.COUNT, description="frames that a clip must have")
    minimum_valid: float = Field(0.9, ge=0, le=1, description="share of valid frames that a clip must exceed")
    minimum_points: int = Field(
        60,
        ge=0,
        le=68,
        description="of 68 landmarks, those in the picture with the score that a valid frame has",
    )
    minimum_score: float = Field(
        0.3, ge=0, le=1, description="of landmarks that count, where the landmarker gives scores"
    )
    minimum_half_side: float = Field(
        200.0,
        ge=0,
        le=limits.PIXELS,
        description="half the side of the square around a valid frame's face is longer, in pixels",
    )


class FrontalSettings(SampleSettings):
    """Keep the clips in which the face looks to the front."""

    step: ClassVar[str] = "frontal"
    minimum_angle: float = Field(
        35.0, ge=0, le=180, description="of the triangle of eyes and nose at either eye, in degrees"
    )
    maximum_angle: float = Field(64.0, ge=0, le=180, description="of the same")
    minimum_ratio: float = Field(
        0.9, ge=0, le=1, description="share of frames with both angles in the range that a clip must exceed"
    )


class MovesSettings(SampleSettings):
    """Keep the clips in which the head stays in its place."""

    step: ClassVar[str] = "moves"
    maximum_ratio: float = Field(
        0.4,
        ge=0,
        le=1000,
        description="the range of the face's centre, in widths or heights of the face, stays below",
    )


class SyncSettings(SampleSettings):
    """Keep the clips whose mouth goes with their sound, by your file of SyncNet or by the lips' landmarks."""

    step: ClassVar[str] = "sync"
    needs_files: ClassVar[bool] = True
    syncnet: Path | None = Field(
        None, description="weights of SyncNet, second version; without it the lips' landmarks are compared"
    )
    mouth_reader: Path | None = Field(
        None, description="folder of a network that hears mouths, by train; else the one that comes with this"
    )
    minimum_confidence: float = Field(5.5, ge=0, le=1000, description="of SyncNet, which a clip must exceed")
    minimum_r: float = Field(
        0.5, ge=-1, le=1, description="correlation of the lips with the mouth that is heard, by landmarks"
    )
    maximum_offset: int = Field(
        1,
        ge=0,
        le=10,
        description="frames between mouth and sound: of 25 a second by SyncNet, else the clip's",
    )
    device: str = Field("auto", exclude=True, description="cpu, cuda ...; auto: a GPU where there is one")

    @property
    def gpus(self) -> int:
        """One for SyncNet, unless the device is the CPU."""
        return 0 if self.syncnet is None or self.device == "cpu" else 1


class SwapSettings(SampleSettings):
    """Give every clip a version with another face, by a program of yours or by the built-in disguise."""

    step: ClassVar[str] = "swap"
    program: str | None = Field(
        None,
        description="command line of a face-swap program, with {source} (a picture of the face to put in), "
        "{target} (the clip) and {output} (the MP4 it must write); without it the face is only disguised",
    )
    faces: Path | None = Field(
        None, description="folder of portraits for {source}; else a frame of another person's clip"
    )
    timeout: float = Field(
        3600, gt=0, le=10**6, exclude=True, description="seconds after which the program has failed"
    )
    seed: int = Field(0, ge=0, le=limits.SEED, description="which face is taken for which clip")

    @field_validator("program")
    @classmethod
    def _check_quotes(cls, value: str | None) -> str | None:
        shlex.split(value or "")
        return value

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments, placeholders included; no shell reads them."""
        return shlex.split(self.program or "")

    def check(self) -> None:
        """See ``StepSettings``: the program must be there, and be told where its files are."""
        if self.program is None:
            if self.faces is not None:
                raise InputError("--faces", "are for a --program", "Give a program, or leave them out")
            return
        missing = [name for name in ("{source}", "{target}", "{output}") if name not in self.program]
        if missing:
            raise InputError(
                "--program", f"lacks {', '.join(missing)}", "Put it where the file's name belongs"
            )
        if shutil.which(self.arguments[0]) is None:
            problem = f"the program {self.arguments[0]} is not found"
            raise InputError("--program", problem, "Give its whole path")
        if self.faces is not None:
            self.portraits()

    def portraits(self) -> list[Path]:
        """The pictures of ``faces``, sorted.

        Raises:
            InputError: no such folder, or no pictures in it.
        """
        assert self.faces is not None
        suffixes = (".png", ".jpg", ".jpeg", ".webp")
        found = sorted(path for path in self.faces.glob("*") if path.suffix.lower() in suffixes)
        if not found:
            raise InputError(self.faces, "holds no pictures", f"Give a folder of {', '.join(suffixes)}")
        return found


class StyliseSettings(SampleSettings):
    """Give every clip a version in another style, by diffusers image-to-image with one seed per clip."""

    step: ClassVar[str] = "stylise"
    model: str = Field("stabilityai/sdxl-turbo", description="folder or Hugging Face name of the pipeline")
    prompt: str = Field("anime style, a person talking", description="what the pictures are turned into")
    strength: float = Field(0.5, gt=0, le=1, description="how far they are turned into it")
    num_inference_steps: int = Field(
        30, ge=1, le=limits.STEPS, description="denoising steps, of which the strength's share runs"
    )
    guidance_scale: float = Field(0.0, ge=0, le=limits.GUIDANCE, description="0 for turbo models")
    size: int = Field(
        512, ge=8, le=8192, multiple_of=8, description="longest side that the model sees, in pixels"
    )
    batch_size: int = Field(4, ge=1, le=1024, exclude=True, description="frames at once")
    seed: int = Field(0, ge=0, le=limits.SEED, description="another seed gives other pictures")
    device: str = Field("auto", exclude=True, description="cpu, cuda ...; auto: a GPU where there is one")

    @property
    def gpus(self) -> int:
        """One, unless the device is the CPU."""
        return 0 if self.device == "cpu" else 1


class GazeSettings(SampleSettings):
    """Keep the clips in which the eyes move much: about one in twenty."""

    step: ClassVar[str] = "gaze"
    needs_files: ClassVar[bool] = True
    landmarker: Path | None = Field(
        None, description="MediaPipe's face_landmarker.task; without it pupils are sought by darkness: rough"
    )
    minimum_variance: float = Field(
        200.0, ge=0, le=180**2, description="of yaw or pitch, in square degrees; clips with less are left out"
    )
    interval: int = Field(10, ge=1, le=limits.COUNT, description="every so many frames are looked at")
    readings: int = Field(32, ge=3, le=limits.COUNT, description="at most so many")


class BackgroundSettings(SampleSettings):
    """Part the person from the background in some frames of every clip."""

    step: ClassVar[str] = "background"
    needs_files: ClassVar[bool] = True
    masks: int = Field(
        8,
        ge=1,
        le=limits.COUNT,
        description="frames per clip that get a mask; references are drawn from them",
    )
    person_segmenter: Path | None = Field(
        None,
        exclude=True,
        description="MediaPipe's selfie_segmentation.tflite; else the one in the models folder, else GrabCut",
    )


STEPS: tuple[type[StepSettings], ...] = (
    PackSettings,
    FacesSettings,
    ValidSettings,
    FrontalSettings,
    MovesSettings,
    SyncSettings,
    SwapSettings,
    StyliseSettings,
    GazeSettings,
    BackgroundSettings,
)
