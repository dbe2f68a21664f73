"""Command ``animate``: one portrait and one driving video in, one video out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .animate_options import (
    add_control_options,
    add_files_options,
    add_look_options,
    add_machine_options,
    add_sampling_options,
    add_speech_options,
    add_start_options,
)
from .model_settings import control_strengths, driving_landmarker, find_face_detector, sampling_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..animator import AnimationReport
    from ..motion import Amplitude
    from ..vision.framing import CropMode

_DESCRIPTION = """\
Make a portrait move like the person in a driving video, and with MegActor-Sigma talk with given sound. The
result has as many frames as the driver, its frame rate and its sound. What is not given is taken from the
model's own settings.
"""
_EXAMPLES = """\
examples:
  the bundled demo model on the bundled files (small cartoon faces; no face detector needed):
    python -m megactor_core animate --reference examples/portrait.png --driving examples/driving.mp4 \\
        --output result.mp4 --crop whole
  the official weights on photographs, put back into the whole picture:
    python -m megactor_core weights download face-detector megactor
    python -m megactor_core weights convert
    python -m megactor_core animate --model megactor --reference me.jpg --driving clip.mp4 \\
        --output result.mp4 --paste-back
  a quick look at two seconds (25 frames a second), in fewer steps:
    python -m megactor_core animate --reference me.jpg --driving clip.mp4 --output try.mp4 \\
        --stop 50 --steps 6 --scheduler dpm++2m
  the second face from the left of the picture, the driver's face nearest to x=400, y=220:
    python -m megactor_core animate --reference group.jpg --face 1 --driving clip.mp4 \\
        --driving-face 400,220 --output result.mp4
  speech alone, with MegActor-Sigma; and a video's eyes with half of its head motion and another voice:
    python -m megactor_core animate --model megactor-sigma --reference me.jpg --speech voice.wav \\
        --output talk.mp4
    python -m megactor_core animate --model megactor-sigma --reference me.jpg --driving clip.mp4 \\
        --speech voice.wav --head-motion 0.5 --output talk.mp4

Ctrl-C stops at once and leaves no file.
"""


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
    add_files_options(parser.add_argument_group("files"))
    add_look_options(parser.add_argument_group("what is taken from the pictures"))
    add_sampling_options(parser.add_argument_group("sampling"))
    add_speech_options(parser.add_argument_group("speech, and how much of each motion counts"))
    add_control_options(parser.add_argument_group("strength of the motion (X-Portrait)"))
    add_start_options(parser.add_argument_group("start of sampling"))
    add_machine_options(parser.add_argument_group("model and machine"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Animate; everything that was given is looked at before the weights are loaded."""
    from ..files import check_output
    from ..media.contact_sheet import contact_sheet, sheet_indices
    from ..media.pictures import SAVE_SUFFIXES, load_mask, load_picture, save_picture
    from ..media.reading import open_driving
    from ..media.writing import FORMATS
    from .progress import AnimationBar

    loras = [path for path, _ in args.lora]
    speech = None if args.speech in (None, "driving") else Path(args.speech)
    given = (args.reference, args.driving, args.mask, args.base, speech, *args.more_references, *loras)
    inputs = [path for path in given if path is not None]
    check_output(args.output, FORMATS, args.overwrite, inputs)
    if args.sheet is not None:
        check_output(args.sheet, SAVE_SUFFIXES, args.overwrite, inputs)
    picture = load_picture(args.reference)
    others = [load_picture(path) for path in args.more_references]
    mask = None if args.mask is None else load_mask(args.mask, picture.shape[:2])
    source = None if args.driving is None else open_driving(args.driving)
    if source is not None and not range(*slice(args.start, args.stop).indices(source.num_frames)):
        raise InputError(
            f"--start {args.start} --stop {args.stop}",
            f"leave none of the {source.num_frames} frames of {args.driving}",
            "Choose other frames",
        )

    import torch

    from ..animation.checks import check_motion, checked_mode
    from ..animation.clip import find_clip
    from ..animation.memory import check_memory, peak_bytes
    from ..animator import Animator, checked_size, default_dtype, usable_device
    from ..motion import Liveliness
    from ..vision.crops import box_crop
    from ..vision.person_segmenter import find_segmenter
    from ..weights.loading import read_config, resolve_model
    from ..weights.tensor_files import open_tensor_file

    config = read_config(resolve_model(args.model, args.models_folder))
    settings, strengths = sampling_settings(args, config), control_strengths(args, config)
    mode = checked_mode(config, args.driving_mode, args.speech is not None)
    amplitude = _amplitude(args)
    check_motion(config, source is not None, args.speech is not None, amplitude)
    num_frames = find_clip(source, args.speech, args.start, args.stop, args.frame_rate).num_frames
    amplitude.check_length(num_frames)
    options = {} if args.best_frame is None else {"best_frame": args.best_frame}
    size = checked_size(config.defaults.size if args.size is None else args.size)
    for crop, source_size in (
        (args.crop, picture.shape[:2]),
        (args.driving_crop, None if source is None else (source.height, source.width)),
    ):
        if isinstance(crop, tuple) and source_size is not None:
            box_crop(crop, source_size, size)
    device = usable_device(args.device)
    dtype = getattr(torch, args.dtype) if args.dtype else default_dtype(device)
    check_memory(config, settings, size, num_frames, device=device, dtype=dtype, weights_loaded=False)
    detector, landmarker = find_face_detector(args, _crops(args)), driving_landmarker(args, mode)
    segmenter = find_segmenter(args.person_segmenter, args.models_folder)
    animator = Animator.from_pretrained(
        args.model,
        device=device,
        dtype=dtype,
        folder=args.models_folder,
        face_detector=detector,
        landmarker=landmarker,
        person_segmenter=segmenter,
        base=args.base,
        loras=args.lora,
    )
    if args.base is not None and (choice := open_tensor_file(args.base).choice):
        print(f"{args.base.name}: {choice}")
    for merged in animator.loras:
        print(merged)
    results: dict[int, NDArray[np.uint8]] = {}
    try:
        with AnimationBar(num_frames) as bar:

            def on_frame(index: int, frame: NDArray[np.uint8]) -> None:
                bar.written(index)
                if args.sheet is not None and index in shown:
                    results[index] = frame

            shown = sheet_indices(num_frames)
            report = animator.animate(
                picture,
                source,
                args.output,
                crop=args.crop,
                driving_crop=args.driving_crop,
                face=args.face,
                driving_face=args.driving_face,
                mask=mask,
                size=size,
                start=args.start,
                stop=args.stop,
                paste=args.paste_back,
                audio=args.audio,
                overwrite=args.overwrite,
                settings=settings,
                on_progress=bar.sampling,
                on_frame=on_frame,
                more_references=others,
                strengths=strengths,
                start_video=args.start_video,
                speech=args.speech,
                frame_rate=args.frame_rate,
                liveliness=Liveliness(args.blink, args.sway, settings.seed),
                amplitude=amplitude,
                mode=mode,
                fixed_patches=args.fixed_patches,
                lost=args.lost,
                smoothing=args.smoothing,
                **options,
            )
    except torch.OutOfMemoryError as error:
        remedy = "Use a smaller --size or --context-length, or --dtype bfloat16"
        raise InputError(f"device {device}", "ran out of memory", remedy) from error
    if args.sheet is not None:
        driving = [report.driving.picture(index) for index in results]
        sheet = contact_sheet(report.portrait.picture, driving, list(results.values()))
        save_picture(args.sheet, sheet, args.overwrite)
    _print(report, args.sheet, peak_bytes(device))
    return 0


def _crops(args: argparse.Namespace) -> dict[str, CropMode]:
    """The crops that were asked for, by option."""
    crop: CropMode = args.crop
    crops = {"--crop": crop}
    if args.driving is not None:
        follows: CropMode = crop if isinstance(crop, str) else "face"
        crops["--driving-crop"] = args.driving_crop or follows
    return crops


def _amplitude(args: argparse.Namespace) -> Amplitude:
    from ..motion import Amplitude

    return Amplitude(args.speech_amplitude, args.head_motion, args.expression)


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
