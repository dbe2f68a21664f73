"""Options of the command ``animate``."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from .arguments import (
    best_frame,
    crop_mode,
    face_choice,
    fraction_below_one,
    frame_number,
    frame_rate,
    guidance,
    keyframes,
    lora,
    seed,
    share,
    side,
    steps,
    strength,
    whole_number,
)

Group = argparse._ArgumentGroup


def add_files_options(group: Group) -> None:
    """What is read and written."""
    group.add_argument(
        "--reference", type=Path, required=True, metavar="PICTURE", help="the portrait to animate"
    )
    group.add_argument(
        "--more-references",
        type=Path,
        nargs="+",
        default=[],
        metavar="PICTURE",
        help="other pictures of the same person, seen together with the portrait",
    )
    group.add_argument(
        "--driving",
        type=Path,
        metavar="VIDEO",
        help="the motion: a video, an animated GIF or WebP, or a single picture; may be left out where "
        "--speech drives alone",
    )
    group.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="VIDEO",
        help=".mp4, .mov, .mkv, .webm or .gif to write; its frames keep the driver's times, but that a GIF "
        "leaves out those shown for less than 20 ms",
    )
    group.add_argument(
        "--sheet", type=Path, metavar="PICTURE", help="also write a contact sheet: reference, driver, result"
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    group.add_argument("--no-audio", dest="audio", action="store_false", help="leave the sound out")
    group.add_argument(
        "--paste-back",
        action="store_true",
        help="put the result back into the whole portrait, at its own resolution",
    )


def add_look_options(group: Group) -> None:
    """What is taken from the pictures."""
    boxes = (
        "'face' (needs the face detector), 'whole' (largest centred square), 'squash' (all of it, squashed "
        "to a square, as X-Portrait was trained) or a box left,top,right,bottom in pixels"
    )
    group.add_argument(
        "--crop",
        type=crop_mode,
        default="face",
        metavar="CROP",
        help=f"of the portrait: {boxes} (default: face)",
    )
    group.add_argument(
        "--driving-crop",
        type=crop_mode,
        metavar="CROP",
        help="of the driver, likewise (default: like --crop; face where --crop is a box)",
    )
    faces = "'largest', a number counted from the left from 0, or the nearest to a point x,y"
    group.add_argument(
        "--face",
        type=face_choice,
        default="largest",
        metavar="FACE",
        help=f"of the portrait: {faces} (default: largest)",
    )
    group.add_argument(
        "--driving-face", type=face_choice, default="largest", metavar="FACE", help="of the driver, likewise"
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="PICTURE",
        help="white where the person is, of the portrait's size or shape (default: the person is found)",
    )
    group.add_argument(
        "--driving-mode",
        choices=("plain", "contour", "hints", "eyes_mouth", "eyes"),
        help="what is shown of the driver. MegActor: plain, the face's surroundings (default); contour, "
        "patches of eyes, brows and mouth, which carry less of the driver's looks and need --landmarker. "
        "MegActor-Sigma: eyes_mouth, patches of eyes and mouth (default); eyes, these alone (default beside "
        "--speech). X-Portrait: hints, all of it and its eyes and mouth",
    )
    group.add_argument(
        "--fixed-patches",
        action="store_true",
        help="MegActor-Sigma: patches stay in one place for the whole clip instead of following the face",
    )
    group.add_argument(
        "--best-frame",
        type=best_frame,
        metavar="FRAME",
        help="X-Portrait: the driving frame whose face is laid over the portrait's: 'auto' (the one most "
        "like it), a number from 0, or 'off' (default: auto)",
    )
    group.add_argument(
        "--lost",
        choices=("hold", "interpolate", "pass"),
        default="hold",
        help="frames where the driver's face is not found: hold its last place, interpolate, or pass the "
        "whole frame (default: hold)",
    )
    group.add_argument(
        "--smoothing",
        type=fraction_below_one,
        default=0.0,
        metavar="0..1",
        help="of the driver's face box over time, 0 to below 1 (default: 0)",
    )
    group.add_argument(
        "--start", type=frame_number, default=0, metavar="N", help="first driving frame to use (default: 0)"
    )
    group.add_argument(
        "--stop", type=frame_number, metavar="N", help="driving frame to stop before (default: the end)"
    )


def add_sampling_options(group: Group) -> None:
    """How the clip is sampled."""
    group.add_argument("--steps", type=steps, metavar="N", help="denoising steps; more are slower and finer")
    group.add_argument(
        "--guidance",
        type=guidance,
        metavar="X",
        help="how strongly to follow the portrait; 1 is twice as fast",
    )
    group.add_argument(
        "--seed", type=seed, default=42, metavar="N", help="another seed, another result (default: 42)"
    )
    group.add_argument(
        "--noise-scale",
        type=share,
        metavar="SCALE",
        help="size of the start noise, 0 to 1: less gives softer, steadier frames",
    )
    group.add_argument(
        "--scheduler", metavar="NAME", help="ddim, euler, dpm++2m, unipc or lcm (default: ddim)"
    )
    group.add_argument("--context-length", type=whole_number(1), metavar="N", help="frames denoised together")
    group.add_argument(
        "--context-overlap", type=whole_number(0), metavar="N", help="frames that neighbouring windows share"
    )
    group.add_argument(
        "--open-ends",
        action=argparse.BooleanOptionalAction,
        help="the last window ends with the clip; otherwise windows wrap around to its beginning",
    )
    group.add_argument(
        "--window-weights",
        choices=("flat", "pyramid"),
        help="how much the frames of a window count where windows overlap (default: flat)",
    )
    group.add_argument(
        "--size", type=side, metavar="PIXELS", help="side of the animated square, a multiple of 8"
    )


def add_speech_options(group: Group) -> None:
    """Sound as a driver, and how much of each source of motion counts."""
    group.add_argument(
        "--speech",
        metavar="SOUND",
        help="MegActor-Sigma: what is said; a sound or video file, or 'driving' for the driver's own sound. "
        "Without --driving it decides the length, and the portrait's own eyes are shown",
    )
    group.add_argument(
        "--frame-rate",
        type=frame_rate,
        default=Fraction(25),
        metavar="RATE",
        help="frames per second where --speech drives alone (default: 25)",
    )
    for name, what in (("blink", "how far its eyes shut"), ("sway", "how far its head moves")):
        group.add_argument(
            f"--{name}",
            type=share,
            default=1.0,
            metavar="0..1",
            help=f"{what} where --speech drives alone, 0 not at all (default: 1)",
        )
    amplitudes = (
        ("speech-amplitude", "how far sound moves the mouth (MegActor-Sigma)"),
        ("head-motion", "how far the driver's head moves from where it is in the first frame"),
        ("expression", "how far the driver departs from its rest frame (MegActor, MegActor-Sigma)"),
    )
    for name, what in amplitudes:
        group.add_argument(
            f"--{name}",
            type=keyframes,
            default=1.0,
            metavar="X[,X...]",
            help=f"{what}: 1 as driven, 0 still; one number per frame, or some as FRAME:X, linear in between "
            "(default: 1)",
        )


def add_control_options(group: Group) -> None:
    """How much X-Portrait's ControlNets count."""
    for name, what in (("face", "the driver's whole face"), ("patch", "the driver's eyes and mouth")):
        group.add_argument(
            f"--{name}-control",
            type=strength,
            metavar="STRENGTH[,START,END]",
            help=f"how much {what} counts, 1 as trained, 0 not at all; and between which shares of the noise "
            "schedule, 0 to 1 (default: 1,0,1)",
        )


def add_start_options(group: Group) -> None:
    """What sampling starts from."""
    group.add_argument(
        "--start-video",
        type=Path,
        metavar="VIDEO",
        help="the motion as another tool made it, at least as long as the result: sampling starts from its "
        "noised frames instead of the noised portrait (X-Portrait, MegActor-Sigma)",
    )


def add_machine_options(group: Group) -> None:
    """Model, device and helper files."""
    group.add_argument(
        "--model",
        default="demo",
        metavar="MODEL",
        help="demo, megactor, megactor-sigma, ... or a model folder (default: demo)",
    )
    group.add_argument(
        "--base",
        type=Path,
        metavar="FILE",
        help="another Stable Diffusion 1.5 checkpoint or UNet for X-Portrait to work with",
    )
    group.add_argument(
        "--lora",
        type=lora,
        action="append",
        default=[],
        metavar="FILE[,SCALE]",
        help="a LoRA of Stable Diffusion 1.5 or AnimateDiff; may be given several times (default scale: 1)",
    )
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, mps ... (default: a GPU where there is one)"
    )
    group.add_argument(
        "--dtype",
        choices=("float16", "bfloat16", "float32"),
        help="number format (default: float16 on a GPU, else float32)",
    )
    group.add_argument("--models-folder", type=Path, metavar="FOLDER", help="where downloaded models are")
    group.add_argument(
        "--face-detector", type=Path, metavar="FILE", help="YuNet's ONNX file (default: in the models folder)"
    )
    group.add_argument(
        "--landmarker",
        type=Path,
        metavar="FILE",
        help="MediaPipe's face_landmarker.task (default: in the models folder)",
    )
    group.add_argument(
        "--person-segmenter",
        type=Path,
        metavar="FILE",
        help="MediaPipe's selfie_segmentation.tflite (default: in the models folder)",
    )
