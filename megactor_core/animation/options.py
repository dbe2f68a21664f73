"""Options of an animation: each is declared here once, and flags, keywords and widgets are made of it.

A section is a frozen value; a field of it is an option. Beside type, default and range, a field carries a
``Flag`` where the command line has it and a ``Widget`` where nodes show it. None stands for what the model
was made with. This module computes nothing, so that help texts and node schemas are there at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SkipValidation

from .. import limits
from ..families.features import (
    encodes_driver,
    has_controls,
    has_plain_base,
    hears,
    shows,
    starts_from_reference,
)
from ..families.registry import FAMILIES
from ..motion import Amplitude, Keyframes, Liveliness
from .declare import Flag, Of, Options, Widget, checked_section

if TYPE_CHECKING:
    from ..models.conditions import ControlStrength
    from ..sampling.sampler import SamplingSettings

Crop = Literal["auto", "face", "whole", "squash"] | tuple[float, float, float, float]
Face = Literal["largest"] | int | tuple[float, float]
BestFrame = Literal["auto", "off"] | Annotated[int, Field(ge=0, le=limits.COUNT)]
Mode = Literal["plain", "contour", "hints", "eyes_mouth", "eyes"]
Scheduler = Literal["ddim", "euler", "dpm++2m", "unipc", "lcm", "tcd"]
Lost = Literal["hold", "interpolate", "pass"]
Strength = tuple[float, float, float]

_LAST_FRAME = 2**31 - 1  # of the host's whole numbers


_CROPS = (
    "'face' (needs the face detector), 'whole' (largest centred square), 'squash' (all of it, squashed "
    "to a square, as {models} was trained) or a box left,top,right,bottom in pixels"
)
_FACES = "'largest', a number counted from the left from 0, or the nearest to a point x,y"


class CropOptions(Options):
    """The square of the portrait and of the driver, and whose face it is about; see ``vision.portrait``."""

    crop: Annotated[
        Crop,
        Of(shows("hints")),
        Flag(f"of the portrait: {_CROPS}", "CROP", kind="crop"),
        Widget(
            "The square of the {of} to use: around the face, or the largest one in the middle (whole), or "
            "all of it made square (squash). auto: around the face where one is known, else whole.",
            default="auto",
            choices=("auto", "face", "whole", "squash"),
        ),
    ] = "face"
    driving_crop: Annotated[
        Crop | None,
        Flag(
            "of the driver, likewise (default: like --crop; face where --crop is a box)", "CROP", kind="crop"
        ),
    ] = None
    face: Annotated[
        Face,
        Flag(f"of the portrait: {_FACES}", "FACE", kind="face"),
        Widget(
            "Which of several faces, counted from the left from 0. -1: the largest.",
            min=-1,
            max=99,
            words=MappingProxyType({-1: "largest"}),
            advanced=True,
        ),
    ] = "largest"
    driving_face: Annotated[
        Face, Flag("of the driver, likewise", "FACE", kind="face", shows_default=False)
    ] = "largest"
    mask: Annotated[
        Any,
        Flag(
            "white where the person is, of the portrait's size or shape (default: the person is found)",
            "PICTURE",
            kind="path",
        ),
    ] = None


_MODE_HELP = {
    (
        "plain",
        "contour",
    ): "plain, the face's surroundings (default); contour, patches of eyes, brows and mouth, "
    "which carry less of the driver's looks and need --landmarker",
    (
        "eyes_mouth",
        "eyes",
    ): "eyes_mouth, patches of eyes and mouth (default); eyes, these alone (default beside --speech)",
    ("hints",): "hints, all of it and its eyes and mouth",
}
_MODE_TOOLTIP = {
    ("plain", "contour"): "the face and its surroundings (plain), or only patches of eyes, brows and mouth "
    "(contour), which carry less of the driver's looks",
    ("eyes_mouth", "eyes"): "patches of eyes and mouth, or of the eyes alone where sound moves the mouth",
    ("hints",): "hints, the frames and their patches",
}


def _by_family(texts: Mapping[tuple[str, ...], str]) -> str:
    """A sentence for every family: what its modes show, by these modes."""
    sentences = {}
    for family in FAMILIES.values():
        modes = family.config.driving_modes
        sentences[family.label] = f"{family.label}: {texts.get(tuple(modes), ', '.join(modes))}."
    return " ".join(sentences.values())


class DrivingOptions(Options):
    """Options of the driver's presentation; see ``vision.driving``."""

    driving_mode: Annotated[
        Mode | None,
        Flag(f"what is shown of the driver. {_by_family(_MODE_HELP)}".removesuffix(".")),
        Widget(
            f"What the model is shown. auto: what suits the model. {_by_family(_MODE_TOOLTIP)}",
            name="mode",
            choices=("auto", "plain", "contour", "eyes_mouth", "eyes", "hints"),
            words=MappingProxyType({"auto": None}),
        ),
    ] = None
    fixed_patches: Annotated[
        bool,
        Of(shows("eyes_mouth")),
        Flag("{models}: patches stay in one place for the whole clip instead of following the face"),
        Widget(
            "{models}: patches that stay where they are for the whole clip, instead of following the face.",
            advanced=True,
            added=1,
            on=("Animate Portrait",),
        ),
    ] = False
    best_frame: Annotated[
        BestFrame,
        Of(shows("hints")),
        Flag(
            "{models}: the driving frame whose face is laid over the portrait's: 'auto' (the one most like "
            "it), a number from 0, or 'off'",
            "FRAME",
            kind="best frame",
        ),
        Widget(
            "{models}: the driving frame whose face is laid over the portrait's. -1: the one most like it, "
            "-2: none, the driver stays where it is.",
            min=-2,
            max=_LAST_FRAME,
            words=MappingProxyType({-1: "auto", -2: "off"}),
            advanced=True,
            added=1,
            on=("Animate Portrait",),
        ),
    ] = "auto"
    lost: Annotated[
        Lost,
        Flag(
            "frames where the driver's face is not found: hold its last place, interpolate, or pass the "
            "whole frame"
        ),
        Widget(
            "Frames where the driver's face is not found: keep its last place (hold), move on in a straight "
            "line (interpolate), or show the whole square (pass). No frame is left out.",
            name="lost_face",
        ),
    ] = "hold"
    smoothing: Annotated[
        float,
        Field(ge=0, lt=1),
        Flag("of the driver's face box over time, 0 to below 1", "0..1"),
        Widget(
            "Calms the face's box over time: weight of the neighbouring frames. 0: off.",
            max=0.99,
            step=0.01,
            advanced=True,
            added=1,
            on=("Animate Portrait",),
        ),
    ] = 0.0


class FrameOptions(Options):
    """The driving frames to use, as in a slice; without a driver, those of the speech."""

    start: Annotated[
        int,
        Flag("first driving frame to use", "N", kind="frame"),
        Widget("First driving frame to use, counted from 0.", name="start_frame", min=0, max=_LAST_FRAME),
    ] = 0
    stop: Annotated[
        int | None,
        Flag("driving frame to stop before (default: the end)", "N", kind="frame"),
        Widget(
            "How many driving frames to use at most. 0: all.",
            name="max_frames",
            min=0,
            max=_LAST_FRAME,
            words=MappingProxyType({0: None}),
        ),
    ] = None


class SamplingOptions(Options):
    """Options of sampling; all but the size are fields of ``sampling.sampler.SamplingSettings``."""

    num_inference_steps: Annotated[
        int | None,
        Field(ge=1, le=limits.STEPS),
        Flag("denoising steps; more are slower and finer", "N", name="--steps"),
        Widget(
            "Denoising steps. 0: what suits the model.",
            name="steps",
            min=0,
            words=MappingProxyType({0: None}),
        ),
    ] = None
    guidance_scale: Annotated[
        float | None,
        Field(ge=0, le=limits.GUIDANCE),
        Flag("how strongly to follow the portrait; 1 is twice as fast", "X", name="--guidance"),
        Widget(
            "How strongly the portrait's identity is enforced. 1 switches guidance off and halves the work. "
            "0: what suits the model.",
            max=30.0,
            step=0.1,
            round=0.01,
            words=MappingProxyType({0.0: None}),
        ),
    ] = None
    seed: Annotated[
        int,
        Field(ge=0, le=limits.SEED),
        Flag("another seed, another result", "N"),
        Widget("Start of the random noise. The same seed gives the same clip."),
    ] = 42
    noise_scale: Annotated[
        float | None,
        Field(ge=0, le=1),
        Flag("size of the start noise, 0 to 1: less gives softer, steadier frames", "SCALE"),
        Widget(
            "Size of the start noise, 0 to 1: less gives softer, steadier frames. -1: what suits the model.",
            min=-1.0,
            step=0.01,
            words=MappingProxyType({-1.0: None}),
            advanced=True,
            added=1,
            on=("Animate Portrait", "Sample MegActor Clip"),
        ),
    ] = None
    scheduler: Annotated[
        Scheduler | None,
        Flag("ddim, euler, dpm++2m, unipc, lcm or tcd", "NAME"),
        Widget(
            "How noise is removed. auto: what suits the model. lcm and tcd go with LoRAs for few steps.",
            choices=("auto", "ddim", "euler", "dpm++2m", "unipc", "lcm", "tcd"),
            words=MappingProxyType({"auto": None}),
        ),
    ] = None
    context_length: Annotated[
        int | None,
        Field(ge=1, le=limits.COUNT),
        Flag("frames denoised together", "N"),
        Widget(
            "Frames that are denoised together; a longer clip is done in windows. 0: what suits the model.",
            min=0,
            max=128,
            words=MappingProxyType({0: None}),
            advanced=True,
        ),
    ] = None
    context_overlap: Annotated[
        int | None,
        Field(ge=0, le=limits.COUNT),
        Flag("frames that neighbouring windows share", "N"),
        Widget(
            "Frames that neighbouring windows share. More is steadier and slower. -1: what suits the model.",
            min=-1,
            max=127,
            words=MappingProxyType({-1: None}),
            advanced=True,
        ),
    ] = None
    closed_loop: Annotated[
        bool | None,
        Flag(
            "the last window ends with the clip; otherwise windows wrap around to its beginning",
            name="--open-ends",
            negated=True,
        ),
    ] = None
    window_weights: Annotated[
        Literal["flat", "pyramid"],
        Flag("how much the frames of a window count where windows overlap"),
        Widget(
            "How much the frames of a window count where windows overlap: all the same (flat), or those in "
            "its middle more (pyramid).",
            advanced=True,
            added=1,
            on=("Animate Portrait", "Sample MegActor Clip", "Apply MegActor"),
        ),
    ] = "flat"
    size: Annotated[
        int | None,
        Field(ge=0, le=limits.PIXELS),
        Flag("side of the animated square, a multiple of 8", "PIXELS"),
        Widget(
            "Side of the square in pixels; the same for portrait and driver. 0: what the model was made for.",
            max=2048,
            step=8,
            words=MappingProxyType({0: None}),
            advanced=True,
        ),
    ] = None
    reference_strength: Annotated[
        float,
        Field(ge=0, le=limits.REFERENCE_STRENGTH),
        Flag("how much attention the portrait gets, 0 to 1.5: 1 as trained, 0 none", "STRENGTH"),
        Widget(
            "How much attention the portrait gets while the clip is denoised. 1: as trained, 0: none; less "
            "lets looks and background go their own way, more holds on to them.",
            step=0.05,
            advanced=True,
            added=2,
            on=("Animate Portrait", "Sample MegActor Clip", "Apply MegActor"),
        ),
    ] = 1.0


_KEYFRAMES = "1 as driven, 0 still; one number per frame, or some as FRAME:X, linear in between"


def _amplitude_widget(name: str, what: str) -> Widget:
    return Widget(f"{what} 1: as driven, 0: still.", name=name, min=0.0, max=4.0, step=0.05, round=0.001)


def _liveliness_widget(what: str) -> Widget:
    return Widget(f"{what} where a sound drives alone. 0: not at all.", step=0.05, round=0.001)


class MotionOptions(Options):
    """Sound as a driver, and how much of each source of motion counts."""

    speech: Annotated[
        Any,
        Of(hears),
        Flag(
            "{models}: what is said; a sound or video file, or 'driving' for the driver's own sound. Without "
            "--driving it decides the length, and the portrait's own eyes are shown",
            "SOUND",
            kind="text",
        ),
    ] = None
    frame_rate: Annotated[
        SkipValidation[Fraction],
        Flag("frames per second where --speech drives alone", "RATE", kind="frame rate"),
        Widget("Frames per second {of}", min=0.01, max=1000.0, step=0.01),
    ] = Fraction(25)
    blink: Annotated[
        float,
        Field(ge=0, le=1),
        Flag("how far its eyes shut where --speech drives alone, 0 not at all", "0..1"),
        _liveliness_widget("How far the portrait's eyes shut now and then,"),
    ] = 1.0
    sway: Annotated[
        float,
        Field(ge=0, le=1),
        Flag("how far its head moves where --speech drives alone, 0 not at all", "0..1"),
        _liveliness_widget("How far the portrait's head moves gently,"),
    ] = 1.0
    speech_amplitude: Annotated[
        SkipValidation[Keyframes],
        Of(hears),
        Flag(f"how far sound moves the mouth ({{models}}): {_KEYFRAMES}", "X[,X...]", kind="keyframes"),
        _amplitude_widget("speech", "How far sound moves the mouth (models that hear, as {models})."),
    ] = 1.0
    head_motion: Annotated[
        SkipValidation[Keyframes],
        Flag(
            f"how far the driver's head moves from where it is in the first frame: {_KEYFRAMES}",
            "X[,X...]",
            kind="keyframes",
        ),
        _amplitude_widget(
            "head_motion",
            "How far the driver's head moves, turns and grows from where it is in the first frame.",
        ),
    ] = 1.0
    expression: Annotated[
        SkipValidation[Keyframes],
        Of(encodes_driver),
        Flag(
            f"how far the driver departs from its rest frame ({{models}}): {_KEYFRAMES}",
            "X[,X...]",
            kind="keyframes",
        ),
        _amplitude_widget(
            "expression",
            "How far the driver departs from its rest frame (models that encode the driver's frames, as both "
            "MegActors).",
        ),
    ] = 1.0

    @property
    def amplitude(self) -> Amplitude:
        """Amplitude of each source of motion.

        Raises:
            InputError: an amplitude out of range.
        """
        return Amplitude(self.speech_amplitude, self.head_motion, self.expression)

    def liveliness(self, seed: int) -> Liveliness:
        """Blinking and swaying of the portrait where speech alone drives."""
        return Liveliness(self.blink, self.sway, seed)


def _control_flag(what: str) -> Flag:
    return Flag(
        f"how much {what} counts, 1 as trained, 0 not at all; and between which shares of the noise "
        "schedule, 0 to 1 (default: 1,0,1)",
        "STRENGTH[,START,END]",
        kind="strength",
    )


def _control_widget(network: str) -> Widget:
    return Widget(
        "How much {subject} counts. 1: as trained, 0: not at all, which is faster.",
        min=0.0,
        max=limits.SCALE,
        step=0.01,
        default=1.0,
        subject=f"the ControlNet of {network}",
    )


class ControlOptions(Options):
    """Strength, start and end of the ControlNets; a field's name is the network's."""

    face_control: Annotated[
        SkipValidation[Strength | None],
        Of(has_controls),
        _control_flag("the driver's whole face"),
        _control_widget("the whole face"),
    ] = None
    patch_control: Annotated[
        SkipValidation[Strength | None],
        Of(has_controls),
        _control_flag("the driver's eyes and mouth"),
        _control_widget("eyes and mouth"),
    ] = None


class StartOptions(Options):
    """Options of the start of sampling."""

    start_video: Annotated[
        Any,
        Of(starts_from_reference),
        Flag(
            "the motion as another tool made it, at least as long as the result: sampling starts from its "
            "noised frames instead of the noised portrait ({models:reversed})",
            "VIDEO",
            kind="path",
        ),
        Widget(
            "The motion as another tool made it, from VAE Encode: sampling starts from its noised frames "
            "instead of the noised portrait. For models that start so, as {models:reversed and} do.",
            name="start_latent",
        ),
    ] = None


class FileOptions(Options):
    """Options of input and output files."""

    reference: Annotated[Any, Flag("the portrait to animate", "PICTURE", kind="path", required=True)] = None
    more_references: Annotated[
        tuple[Any, ...],
        Flag(
            "other pictures of the same person, seen together with the portrait",
            "PICTURE",
            kind="path",
            several=True,
        ),
    ] = ()
    driving: Annotated[
        Any,
        Flag(
            "the motion: a video, an animated GIF or WebP, or a single picture; may be left out where "
            "--speech drives alone",
            "VIDEO",
            kind="path",
        ),
    ] = None
    output: Annotated[
        Any,
        Flag(
            ".mp4, .mov, .mkv, .webm or .gif to write; its frames keep the driver's times, but that a GIF "
            "leaves out those shown for less than 20 ms",
            "VIDEO",
            kind="path",
            required=True,
        ),
    ] = None
    sheet: Annotated[
        Any, Flag("also write a contact sheet: reference, driver, result", "PICTURE", kind="path")
    ] = None
    overwrite: Annotated[bool, Flag("replace files that exist")] = False
    audio: Annotated[bool, Flag("leave the sound out", name="--no-audio", negated=True)] = True
    paste: Annotated[
        bool,
        Flag("put the result back into the whole portrait, at its own resolution", name="--paste-back"),
        Widget("Put the result back into the whole picture, at the picture's resolution.", name="paste_back"),
    ] = False


class ModelOptions(Options):
    """Model, device and helper files."""

    model: Annotated[str, Flag(f"demo, {', '.join(list(FAMILIES)[:2])}, ... or a model folder", "MODEL")] = (
        "demo"
    )
    base: Annotated[
        Any,
        Of(has_plain_base),
        Flag(
            "another Stable Diffusion 1.5 checkpoint or UNet for {models} to work with", "FILE", kind="path"
        ),
    ] = None
    lora: Annotated[
        tuple[Any, ...],
        Flag(
            "a LoRA of Stable Diffusion 1.5 or AnimateDiff; may be given several times (default scale: 1)",
            "FILE[,SCALE]",
            kind="lora",
        ),
    ] = ()
    device: Annotated[str | None, Flag("cpu, cuda, mps ... (default: a GPU where there is one)", "NAME")] = (
        None
    )
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"] | None,
        Flag("number format (default: float16 on a GPU, else float32)"),
    ] = None
    models_folder: Annotated[Any, Flag("where downloaded models are", "FOLDER", kind="path")] = None
    face_detector: Annotated[
        Any, Flag("YuNet's ONNX file (default: in the models folder)", "FILE", kind="path")
    ] = None
    landmarker: Annotated[
        Any,
        Flag("MediaPipe's face_landmarker.task (default: in the models folder)", "FILE", kind="path"),
    ] = None
    person_segmenter: Annotated[
        Any,
        Flag("MediaPipe's selfie_segmentation.tflite (default: in the models folder)", "FILE", kind="path"),
    ] = None


_KEYWORDS = {"mode": "driving_mode"}
"""Python keywords that are not the option's own name."""


@dataclass(frozen=True)
class AnimationOptions:
    """Options of one animation.

    Attributes:
        files, crops, driving, frames, sampling, motion, controls, start: what is declared in this module.
        settings, amplitude, liveliness, strengths: where they are given, they take the place of what
            ``sampling``, ``motion`` and ``controls`` say. Strengths are by the ControlNet's name.
    """

    files: FileOptions = field(default_factory=FileOptions)
    crops: CropOptions = field(default_factory=CropOptions)
    driving: DrivingOptions = field(default_factory=DrivingOptions)
    frames: FrameOptions = field(default_factory=FrameOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)
    controls: ControlOptions = field(default_factory=ControlOptions)
    start: StartOptions = field(default_factory=StartOptions)
    settings: SamplingSettings | None = None
    amplitude: Amplitude | None = None
    liveliness: Liveliness | None = None
    strengths: Mapping[str, ControlStrength] | None = None

    @classmethod
    def of(cls, **keywords: Any) -> AnimationOptions:
        """Of options by their names, from whatever section, and of this class's values without one.

        Raises:
            InputError: a value out of an option's range, or of another type.
            TypeError: a name that no option has.
        """
        sections: dict[str, Any] = {one.name: one.default_factory for one in fields(cls)}
        places = {
            name: place
            for place, section in sections.items()
            for name in getattr(section, "model_fields", ())
        }
        values: dict[str, dict[str, Any]] = {}
        given: dict[str, Any] = {}
        for keyword, value in keywords.items():
            name = _KEYWORDS.get(keyword, keyword)
            if name in places:
                values.setdefault(places[name], {})[name] = value
            else:
                given[name] = value  # of a name without a meaning the constructor says so
        for place, options in values.items():
            given[place] = checked_section(sections[place], **options)
        return cls(**given)
