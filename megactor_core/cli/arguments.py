"""Types of command line arguments that are more than a number or a path."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Literal

from ..amplitude import Keyframes, parse_keyframes
from ..errors import InputError
from ..media.timing import exact_frame_rate


def crop_mode(text: str) -> Literal["face", "whole", "squash"] | tuple[float, float, float, float]:
    """``face``, ``whole``, ``squash`` or ``left,top,right,bottom``; see ``vision.portrait.CropMode``."""
    if text == "face":
        return "face"
    if text == "whole":
        return "whole"
    if text == "squash":
        return "squash"
    numbers = _numbers(text)
    if len(numbers) != 4:
        problem = f"{text!r} is neither face nor whole nor squash nor left,top,right,bottom"
        raise argparse.ArgumentTypeError(problem)
    left, top, right, bottom = numbers
    return left, top, right, bottom


def face_choice(text: str) -> Literal["largest"] | int | tuple[float, float]:
    """``largest``, an index or ``x,y``; see ``vision.faces.FaceChoice``."""
    if text == "largest":
        return "largest"
    if text.isdecimal():
        return int(text)
    numbers = _numbers(text)
    if len(numbers) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is neither largest nor a number from 0 nor a point x,y")
    x, y = numbers
    return x, y


def best_frame(text: str) -> Literal["auto", "off"] | int:
    """``auto``, ``off`` or an index; see ``vision.face_patches.BestFrame``."""
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor off nor a number from 0")
    return int(text)


def strength(text: str) -> tuple[float, float, float]:
    """``strength`` or ``strength,start,end``; see ``conditioning.conditions.ControlStrength``."""
    numbers = _numbers(text)
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor strength,start,end")
    factor, start, end = numbers if len(numbers) == 3 else (*numbers, 0.0, 1.0)
    return factor, start, end


def lora(text: str) -> tuple[Path, float]:
    """``file`` or ``file,scale``."""
    path, _, scale = text.rpartition(",")
    numbers = _numbers(scale)
    return (Path(path), numbers[0]) if path and numbers else (Path(text), 1.0)


def keyframes(text: str) -> Keyframes:
    """A number, one per frame, or frame:number pairs; see ``amplitude.parse_keyframes``."""
    try:
        return parse_keyframes(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def share(text: str) -> float:
    """A number from 0 to 1."""
    numbers = _numbers(text)
    if len(numbers) != 1 or not 0 <= numbers[0] <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return numbers[0]


def frame_rate(text: str) -> Fraction:
    """Frames per second: 25, 29.97 or 30000/1001."""
    try:
        rate = exact_frame_rate(Fraction(text))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 240:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate from 1 to 240")
    return rate


def frame_number(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def fraction_below_one(text: str) -> float:
    """A number from 0 to below 1."""
    numbers = _numbers(text)
    if len(numbers) != 1 or not 0 <= numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return numbers[0]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []
