"""Command ``animate``: one portrait and one driving video in, one video out."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..animation.options import (
    AnimationOptions,
    ControlOptions,
    CropOptions,
    DrivingOptions,
    FileOptions,
    FrameOptions,
    ModelOptions,
    MotionOptions,
    SamplingOptions,
    StartOptions,
)
from ..errors import InputError
from ..families.features import hears
from ..families.registry import default_family, families_with, labels_with
from .flags import add_flags, flag_name, given_options
from .model_settings import driving_landmarker, find_face_detector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..animator import AnimationReport
    from ..sampling.sampler import SamplingSettings

_USUAL, _HEARING = default_family().name, families_with(hears)[0].name
_HEARS = labels_with(hears)
_DESCRIPTION = f"""\
Make a portrait move like the person in a driving video, and with {_HEARS} talk with given sound. The
result has as many frames as the driver, its frame rate and its sound. What is not given is taken from the
model's own settings.
"""
_EXAMPLES = f"""\
examples:
  the bundled demo model on the bundled files (small cartoon faces; no face detector needed):
    python -m megactor_core animate --reference examples/portrait.png --driving examples/driving.mp4 \\
        --output result.mp4 --crop whole
  the official weights on photographs, put back into the whole picture:
    python -m megactor_core weights download face-detector {_USUAL}
    python -m megactor_core weights convert
    python -m megactor_core animate --model {_USUAL} --reference me.jpg --driving clip.mp4 \\
        --output result.mp4 --paste-back
  a quick look at two seconds (25 frames a second), in fewer steps:
    python -m megactor_core animate --reference me.jpg --driving clip.mp4 --output try.mp4 \\
        --stop 50 --steps 6 --scheduler dpm++2m
  the second face from the left of the picture, the driver's face nearest to x=400, y=220:
    python -m megactor_core animate --reference group.jpg --face 1 --driving clip.mp4 \\
        --driving-face 400,220 --output result.mp4
  speech alone, with {_HEARS}; and a video's eyes with half of its head motion and another voice:
    python -m megactor_core animate --model {_HEARING} --reference me.jpg --speech voice.wav \\
        --output talk.mp4
    python -m megactor_core animate --model {_HEARING} --reference me.jpg --driving clip.mp4 \\
        --speech voice.wav --head-motion 0.5 --output talk.mp4

Ctrl-C stops at once and leaves no file.
"""
CONTROLS_TITLE = f"strength of the motion ({ControlOptions.option('face_control').models})"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "animate",
        help="animate a portrait with a driving video",
        usage="%(prog)s --reference PICTURE [--driving VIDEO] [--speech SOUND] --output VIDEO [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_flags(parser.add_argument_group("files"), FileOptions)
    looked_at = parser.add_argument_group("what is taken from the pictures")
    add_flags(looked_at, CropOptions, DrivingOptions, FrameOptions)
    add_flags(parser.add_argument_group("sampling"), SamplingOptions)
    moved = parser.add_argument_group("speech, and how much of each motion counts")
    add_flags(moved, MotionOptions)
    add_flags(parser.add_argument_group(CONTROLS_TITLE), ControlOptions)
    add_flags(parser.add_argument_group("start of sampling"), StartOptions)
    add_flags(parser.add_argument_group("model and machine"), ModelOptions)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Animate; everything that was given is looked at before the weights are loaded."""
    from ..animation.inputs import open_inputs
    from ..files import check_output
    from ..media.contact_sheet import contact_sheet, sheet_indices
    from ..media.pictures import SAVE_SUFFIXES, save_picture
    from .progress import AnimationBar

    options, machine = _options(args), given_options(args, ModelOptions)
    files, frames = options.files, options.frames
    weights = [path for path in (machine.base, *(path for path, _ in machine.lora)) if path is not None]
    inputs = open_inputs(options, weights)
    if files.sheet is not None:
        check_output(files.sheet, SAVE_SUFFIXES, files.overwrite, inputs.files)
    driver = inputs.driver
    if driver is not None and not range(*slice(frames.start, frames.stop).indices(driver.num_frames)):
        raise InputError(
            f"--start {frames.start} --stop {frames.stop}",
            f"leave none of the {driver.num_frames} frames of {files.driving}",
            "Choose other frames",
        )

    import torch

    from ..animation.animator import Callbacks
    from ..animation.memory import check_memory, peak_bytes
    from ..animation.plan import control_strengths, make_plan
    from ..animator import Animator, default_dtype, load_weights, usable_device
    from ..vision.person_segmenter import find_segmenter
    from ..weights.loading import read_config, resolve_model
    from ..weights.tensor_files import open_tensor_file

    folder = resolve_model(machine.model, machine.models_folder)
    config, device = read_config(folder), usable_device(machine.device)
    dtype = getattr(torch, machine.dtype) if machine.dtype else default_dtype(device)

    def check_room(settings: SamplingSettings, size: int, num_frames: int) -> None:
        check_memory(config, settings, size, num_frames, device=device, dtype=dtype, weights_loaded=False)

    strengths = control_strengths(options.controls, flag_name)
    plan = make_plan(config, inputs, replace(options, strengths=strengths), check_room)
    crops = {"--crop": options.crops.crop} | ({} if driver is None else {"--driving-crop": plan.driving_crop})
    detector, landmarker = find_face_detector(machine, crops), driving_landmarker(machine, plan.mode)
    segmenter = find_segmenter(machine.person_segmenter, machine.models_folder)
    model, merged = load_weights(
        folder, config=config, device=device, dtype=dtype, base=machine.base, loras=machine.lora
    )
    animator = Animator(model, detector, landmarker=landmarker, loras=merged, segmenter=segmenter)
    if machine.base is not None and (choice := open_tensor_file(machine.base).choice):
        print(f"{machine.base.name}: {choice}")
    for lora in merged:
        print(lora)
    results: dict[int, NDArray[np.uint8]] = {}
    num_frames = plan.clip.num_frames
    shown = sheet_indices(num_frames) if files.sheet is not None else ()
    try:
        with AnimationBar(num_frames) as bar:

            def on_frame(index: int, frame: NDArray[np.uint8]) -> None:
                bar.written(index)
                if index in shown:
                    results[index] = frame

            report = animator.run(plan, Callbacks(on_progress=bar.sampling, on_frame=on_frame))
    except torch.OutOfMemoryError as error:
        remedy = "Use a smaller --size or --context-length, or --dtype bfloat16"
        raise InputError(f"device {device}", "ran out of memory", remedy) from error
    if files.sheet is not None:
        driving = [report.driving.picture(index) for index in results]
        sheet = contact_sheet(report.portrait.picture, driving, list(results.values()))
        save_picture(files.sheet, sheet, files.overwrite)
    _print(report, files.sheet, peak_bytes(device))
    return 0


def _options(args: argparse.Namespace) -> AnimationOptions:
    """Options from the arguments."""
    return AnimationOptions(
        files=given_options(args, FileOptions),
        crops=given_options(args, CropOptions),
        driving=given_options(args, DrivingOptions),
        frames=given_options(args, FrameOptions),
        sampling=given_options(args, SamplingOptions),
        motion=given_options(args, MotionOptions),
        controls=given_options(args, ControlOptions),
        start=given_options(args, StartOptions),
    )


def _print(report: AnimationReport, sheet: Path | None, peak: int) -> None:
    for note in report.notes:
        print(note)
    print(
        f"{report.num_frames} frames in {report.seconds:.1f} s, "
        f"{report.seconds_per_frame:.2f} seconds per frame, peak memory {peak / 2**20:.0f} MiB"
    )
    print(report.output)
    if sheet is not None:
        print(sheet)
