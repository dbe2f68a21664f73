"""Types of command line arguments that are more than a number or a path."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

from .. import limits
from ..errors import InputError
from ..media.timing import exact_frame_rate
from ..motion import Keyframes, parse_keyframes


def whole_number(lowest: int, highest: int = limits.COUNT) -> Callable[[str], int]:
    """The type of whole numbers in a range, both ends included."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if not lowest <= number <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return number

    return read


def number(lowest: float, highest: float) -> Callable[[str], float]:
    """The type of numbers in a range, both ends included."""

    def read(text: str) -> float:
        numbers = _numbers(text)
        if len(numbers) != 1 or not lowest <= numbers[0] <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {lowest:g} to {highest:g}")
        return numbers[0]

    return read


seed = whole_number(0, limits.SEED)
steps = whole_number(1, limits.STEPS)
side = whole_number(0, limits.PIXELS)
frame_number = whole_number(0)
share = number(0, 1)
guidance = number(0, limits.GUIDANCE)


def crop_mode(text: str) -> Literal["face", "whole", "squash"] | tuple[float, float, float, float]:
    """``face``, ``whole``, ``squash`` or ``left,top,right,bottom``; see ``vision.portrait.CropMode``."""
    if text == "face":
        return "face"
    if text == "whole":
        return "whole"
    if text == "squash":
        return "squash"
    numbers = _pixels(text)
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
        return frame_number(text)
    numbers = _pixels(text)
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
    return frame_number(text)


def strength(text: str) -> tuple[float, float, float]:
    """``strength`` or ``strength,start,end``; see ``models.conditions.ControlStrength``."""
    numbers = _numbers(text)
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor strength,start,end")
    factor, start, end = numbers if len(numbers) == 3 else (*numbers, 0.0, 1.0)
    return factor, start, end


def lora(text: str) -> tuple[Path, float]:
    """``file`` or ``file,scale``."""
    path, _, scale = text.rpartition(",")
    numbers = _numbers(scale)
    if not (path and numbers):
        return Path(text), 1.0
    if not abs(numbers[0]) <= limits.SCALE:
        limit = f"{limits.SCALE:g}"
        raise argparse.ArgumentTypeError(f"{text!r} has a scale that is not from -{limit} to {limit}")
    return Path(path), numbers[0]


def keyframes(text: str) -> Keyframes:
    """A number, one per frame, or frame:number pairs; see ``amplitude.parse_keyframes``."""
    try:
        return parse_keyframes(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def frame_rate(text: str) -> Fraction:
    """Frames per second: 25, 29.97 or 30000/1001."""
    try:
        # An exponent makes a Fraction of as many digits.
        rate = exact_frame_rate(Fraction(text)) if "e" not in text.lower() else Fraction(0)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 240:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate from 1 to 240")
    return rate


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


def _pixels(text: str) -> list[float]:
    """Coordinates; a picture has no further ones."""
    numbers = _numbers(text)
    if not all(abs(value) <= limits.PIXELS for value in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} has a coordinate beyond {limits.PIXELS} pixels")
    return numbers
