"""Command ``animate``: one portrait and one driving video in, one video out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megactor_core.cli.arguments import crop_mode, face_choice, fraction_below_one, frame_number
from megactor_core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from megactor_core.animator import AnimationReport
    from megactor_core.models.config import ModelConfig
    from megactor_core.sampling.sampler import Progress, SamplingSettings
    from megactor_core.vision.faces import FaceDetector
    from megactor_core.vision.landmarks import Landmarker

_DESCRIPTION = """\
Make a portrait move like the person in a driving video. The result has as many frames as the driver, its
frame rate and its sound. What is not given is taken from the model's own settings.
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

Ctrl-C stops at once and leaves no file.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "animate",
        help="animate a portrait with a driving video",
        usage="%(prog)s --reference PICTURE --driving VIDEO --output VIDEO [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_files(parser.add_argument_group("files"))
    _add_look(parser.add_argument_group("what is taken from the pictures"))
    _add_sampling(parser.add_argument_group("sampling"))
    _add_machine(parser.add_argument_group("model and machine"))
    parser.set_defaults(run=run)


def _add_files(group: Any) -> None:
    group.add_argument(
        "--reference", type=Path, required=True, metavar="PICTURE", help="the portrait to animate"
    )
    group.add_argument(
        "--driving",
        type=Path,
        required=True,
        metavar="VIDEO",
        help="the motion: a video, an animated GIF or WebP, or a single picture",
    )
    group.add_argument(
        "--output", type=Path, required=True, metavar="VIDEO", help=".mp4, .mov, .mkv, .webm or .gif to write"
    )
    group.add_argument(
        "--sheet", type=Path, metavar="PICTURE", help="also write a contact sheet: reference, driver, result"
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    group.add_argument("--no-audio", dest="audio", action="store_false", help="leave the driver's sound out")
    group.add_argument(
        "--paste-back",
        action="store_true",
        help="put the result back into the whole portrait, at its own resolution",
    )


def _add_look(group: Any) -> None:
    boxes = (
        "'face' (needs the face detector), 'whole' (largest centred square) or a box left,top,right,bottom "
        "in pixels"
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
        help="white where the person is, of the portrait's size (default: it is found)",
    )
    group.add_argument(
        "--driving-mode",
        choices=("plain", "contour"),
        default="plain",
        help="what is shown of the driver: the face's surroundings, or patches of eyes, brows and mouth, "
        "which carry less of the driver's looks and need --landmarker (default: plain)",
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


def _add_sampling(group: Any) -> None:
    group.add_argument("--steps", type=int, metavar="N", help="denoising steps; more are slower and finer")
    group.add_argument(
        "--guidance", type=float, metavar="X", help="how strongly to follow the portrait; 1 is twice as fast"
    )
    group.add_argument(
        "--seed", type=int, default=42, metavar="N", help="another seed, another result (default: 42)"
    )
    group.add_argument(
        "--scheduler", metavar="NAME", help="ddim, euler, dpm++2m, unipc or lcm (default: ddim)"
    )
    group.add_argument("--context-length", type=int, metavar="N", help="frames denoised together")
    group.add_argument(
        "--context-overlap", type=int, metavar="N", help="frames that neighbouring windows share"
    )
    group.add_argument(
        "--open-ends",
        action="store_true",
        help="the last window ends with the clip, instead of wrapping around to its beginning",
    )
    group.add_argument(
        "--window-weights",
        choices=("flat", "pyramid"),
        help="how much the frames of a window count where windows overlap (default: flat)",
    )
    group.add_argument(
        "--size", type=int, metavar="PIXELS", help="side of the animated square, a multiple of 8"
    )


def _add_machine(group: Any) -> None:
    group.add_argument(
        "--model", default="demo", metavar="MODEL", help="demo, megactor, or a model folder (default: demo)"
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


def run(args: argparse.Namespace) -> int:
    """Animate; everything that was given is looked at before the weights are loaded."""
    from megactor_core.media.contact_sheet import contact_sheet, sheet_indices
    from megactor_core.media.outputs import check_output
    from megactor_core.media.pictures import SAVE_SUFFIXES, load_mask, load_picture, save_picture
    from megactor_core.media.reading import open_driving
    from megactor_core.media.writing import FORMATS

    inputs = [path for path in (args.reference, args.driving, args.mask) if path is not None]
    check_output(args.output, FORMATS, args.overwrite, inputs)
    if args.sheet is not None:
        check_output(args.sheet, SAVE_SUFFIXES, args.overwrite, inputs)
    picture = load_picture(args.reference)
    mask = None if args.mask is None else load_mask(args.mask, picture.shape[:2])
    source = open_driving(args.driving)
    num_frames = len(range(*slice(args.start, args.stop).indices(source.num_frames)))
    if num_frames == 0:
        raise InputError(
            f"--start {args.start} --stop {args.stop}",
            f"leave none of the {source.num_frames} frames of {args.driving}",
            "Choose other frames",
        )

    import torch

    from megactor_core.animator import Animator, checked_size, default_dtype, usable_device
    from megactor_core.memory import check_memory, peak_bytes
    from megactor_core.weights.loading import read_config, resolve_model

    config = read_config(resolve_model(args.model, args.models_folder))
    settings = _settings(args, config)
    size = checked_size(config.defaults.size if args.size is None else args.size)
    device = usable_device(args.device)
    dtype = getattr(torch, args.dtype) if args.dtype else default_dtype(device)
    check_memory(config, settings, size, num_frames, device=device, dtype=dtype, weights_loaded=False)
    detector, landmarker = _detector(args), _landmarker(args)
    animator = Animator.from_pretrained(
        args.model,
        device=device,
        dtype=dtype,
        folder=args.models_folder,
        face_detector=detector,
        landmarker=landmarker,
    )
    results: dict[int, NDArray[np.uint8]] = {}
    try:
        with _Bar(num_frames) as bar:

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
                mode=args.driving_mode,
                lost=args.lost,
                smoothing=args.smoothing,
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


def _settings(args: argparse.Namespace, config: ModelConfig) -> SamplingSettings:
    """The model's sampling settings with what was given.

    Raises:
        InputError: values that the model cannot work with.
    """
    from megactor_core.sampling.sampler import SamplingSettings

    given = {
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "scheduler": args.scheduler,
        "context_length": args.context_length,
        "context_overlap": args.context_overlap,
        "closed_loop": None if args.open_ends is None else not args.open_ends,
        "window_weights": args.window_weights,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    settings = SamplingSettings.from_defaults(config.defaults, seed=args.seed, **changes)
    settings.validate(config.denoiser)
    return settings


def _detector(args: argparse.Namespace) -> FaceDetector | None:
    """The face detector, or None where it is neither at hand nor needed."""
    from megactor_core.animator import find_detector

    detector = find_detector(args.face_detector, args.models_folder)
    driving_crop = args.driving_crop or (args.crop if isinstance(args.crop, str) else "face")
    for option, crop in (("--crop", args.crop), ("--driving-crop", driving_crop)):
        if crop == "face" and detector is None:
            raise InputError(
                f"{option} face",
                "needs the face detector's file, which is not on this machine",
                "Fetch it with: python -m megactor_core weights download face-detector, "
                f"or use {option} whole or a box",
            )
    return detector


def _landmarker(args: argparse.Namespace) -> Landmarker | None:
    """The landmarker that the contour mode needs."""
    if args.driving_mode != "contour":
        return None
    from megactor_core.vision.landmarks import MediaPipeLandmarker
    from megactor_core.weights.catalogue import find_known
    from megactor_core.weights.folders import models_folder

    return MediaPipeLandmarker(
        args.landmarker or models_folder(args.models_folder) / find_known("face-landmarker")[0].file
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


class _Bar:
    """A progress bar over the frames of the clip: sampled first, then written."""

    def __init__(self, num_frames: int) -> None:
        from tqdm import tqdm

        self._num_frames = num_frames
        self._bar = tqdm(
            total=100,
            desc="looking",
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def sampling(self, progress: Progress) -> None:
        """Before each window."""
        done = (progress.step + progress.window / progress.num_windows) / progress.num_steps
        self._show(f"sampling step {progress.step + 1}/{progress.num_steps}", done)

    def written(self, index: int) -> None:
        """After each frame."""
        self._show(f"writing frame {index + 1}/{self._num_frames}", (index + 1) / self._num_frames)

    def _show(self, text: str, done: float) -> None:
        if self._bar.desc.split()[0] != text.split()[0]:
            self._bar.reset()
        self._bar.n = 100 * done
        self._bar.set_description_str(text, refresh=False)
        if done:
            seconds = self._bar.format_dict["elapsed"] / (done * self._num_frames)
            self._bar.set_postfix_str(f"{seconds:.2f} s/frame", refresh=False)
        self._bar.refresh()
