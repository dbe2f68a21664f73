"""Tests ``self``, ``cross`` and ``repeat`` of the command ``evaluate``: real clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..animation.options import (
    ControlOptions,
    CropOptions,
    DrivingOptions,
    ModelOptions,
    SamplingOptions,
)
from ..errors import InputError
from ..families.features import hears
from ..families.registry import labels_with
from .animate import CONTROLS_TITLE
from .arguments import frame_number, whole_number
from .flags import add_flag, add_flags, flag_name, given_options
from .report_files import need_packages

if TYPE_CHECKING:
    from ..evaluation.clips.plan import Plan
    from ..evaluation.clips.report import Report
    from ..evaluation.clips.request import EvaluationRequest
    from ..sampling.sampler import Progress

_SELF = """\
Animate a frame of each clip with the clip itself, so that the truth is known: closeness to it (PSNR, SSIM,
LPIPS), and how well face and identity are kept.
"""
_CROSS = """\
Animate portraits with clips of other people. There is no truth: the face is compared with the driver's
(expression, head pose, gaze), and the identity with the portrait's.
"""
_BOTH = """\
Everything is also measured on the unmoved portrait: what a model that does nothing would score. The folder
that is written holds report.html to look at, report.json to compare and to repeat, and the animated clips.
What a measure needs and does not find is said in the report: --landmarker and the package mediapipe
(expression, gaze, exact head pose), --lpips-weights, --identity-weights, --fvd-weights. The protocol is in
docs/evaluation.md.

example:
  python -m megactor_core evaluate {test} --model demo --data clips --crop whole --output report
"""
_REPEAT = """\
Make a report again from its report.json. Model, weights and clips must be the same, to the last bit;
packages of other versions are told. Ends with 0 if all numbers are the same, with 1 and the differences if
not.

example:
  python -m megactor_core evaluate repeat report/report.json --output again
"""


def add_tests(tests: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the tests to the command."""
    described = (
        ("self", "real clips that drive their own frames", _SELF),
        ("cross", "real clips that drive portraits of others", _CROSS),
    )
    for name, summary, description in described:
        parser = tests.add_parser(
            name,
            help=summary,
            description=description + _BOTH.format(test=name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_files(parser.add_argument_group("files"))
        _add_protocol(parser.add_argument_group("clips"), name)
        add_flags(parser.add_argument_group("sampling"), SamplingOptions)
        add_flags(parser.add_argument_group(CONTROLS_TITLE), ControlOptions)
        add_flags(parser.add_argument_group("model and machine"), ModelOptions)
        _add_instruments(parser.add_argument_group("what is measured with"))
        parser.set_defaults(run=run, portraits=None, reference_frame=0)
    repeat = tests.add_parser(
        "repeat",
        help="make a report of real clips again",
        description=_REPEAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    repeat.add_argument("report", type=Path, metavar="JSON", help="report.json of self or cross")
    repeat.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")
    repeat.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    repeat.add_argument("--model", metavar="MODEL", help="where the model is now")
    repeat.add_argument("--data", type=Path, metavar="FOLDER", help="where the clips are now")
    repeat.add_argument("--device", metavar="NAME", help="another device (the numbers will differ)")
    repeat.set_defaults(run=run_repeat)


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="videos, or WebDataset shards (.tar)"
    )
    group.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")
    group.add_argument("--overwrite", action="store_true", help="replace an earlier report")


def _add_protocol(group: argparse._ArgumentGroup, test: str) -> None:
    group.add_argument(
        "--clips", type=whole_number(1), metavar="N", help="so many clips, drawn by the seed (default: all)"
    )
    group.add_argument(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="only identities that a training on these shards never saw: its held_out",
    )
    group.add_argument(
        "--frames", type=whole_number(2), default=16, metavar="N", help="frames of each clip (default: 16)"
    )
    group.add_argument(
        "--stride",
        type=whole_number(1),
        default=1,
        metavar="K",
        help="use every K-th frame of a file (default: 1)",
    )
    add_flag(
        group,
        CropOptions,
        "crop",
        choices=("face", "whole", "squash"),
        type=None,
        metavar=None,
        help="the square of portraits and drivers, see animate (default: face)",
    )
    of_mode = "what is shown of the driver, see animate (default: the model's)"
    add_flags(group, DrivingOptions, driving_mode={"help": of_mode})
    group.add_argument(
        "--speech", action="store_true", help=f"{labels_with(hears)}: the clip's own sound moves the lips"
    )
    if test == "self":
        group.add_argument(
            "--reference-frame",
            type=reference_frame,
            metavar="N",
            help="which of the frames is animated, or 'random': drawn by the seed (default: 0)",
        )
    else:
        group.add_argument(
            "--portraits",
            type=Path,
            metavar="FOLDER",
            help="pictures to animate, drawn by the seed (default: first frames of the other clips)",
        )


def _add_instruments(group: argparse._ArgumentGroup) -> None:
    for name, what in (
        ("lpips", "torchvision's AlexNet (alexnet-owt-7be5be79.pth or .safetensors)"),
        ("identity", "ONNX face recogniser for OpenCV, for instance SFace"),
        ("fvd", "ONNX network of video features, for instance I3D; see docs/evaluation.md"),
    ):
        group.add_argument(f"--{name}-weights", type=Path, metavar="FILE", help=what)


def reference_frame(text: str) -> int | Literal["random"]:
    """``random`` or a number from 0."""
    if text == "random":
        return "random"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither random nor a number from 0")
    return frame_number(text)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the folder and print the table; 0 when done."""
    need_packages("evaluate", "torchmetrics", "matplotlib")
    if args.held_out is not None and not 0 < args.held_out < 1:
        raise InputError(
            f"--held-out {args.held_out}", "is no share of the identities", "Give more than 0 and less than 1"
        )
    from ..evaluation.clips.plan import make_plan
    from ..evaluation.clips.run import check_folder

    check_folder(args.output, args.overwrite, args.data)
    request = _request(args)
    _evaluate(request, make_plan(request), args)
    return 0


def run_repeat(args: argparse.Namespace) -> int:
    """Make a report again; 0 if the numbers are the same, else 1."""
    need_packages("evaluate", "torchmetrics", "matplotlib")
    from ..evaluation.clips.plan import make_plan
    from ..evaluation.clips.repeat import check_same_inputs, compare_numbers, load_report
    from ..evaluation.clips.run import check_folder

    changed: dict[str, Any] = {"model": args.model, "data": args.data, "device": args.device}
    report, request = load_report(args.report, **changed)
    check_folder(args.output, args.overwrite, request.data)
    plan = make_plan(request)
    for line in check_same_inputs(args.report, report, request, plan):
        print(line)
    different = compare_numbers(report, _evaluate(request, plan, args))
    print("\n".join(different) if different else "all numbers are the same")
    return int(bool(different))


def _evaluate(request: EvaluationRequest, plan: Plan, args: argparse.Namespace) -> Report:
    import torch
    from tqdm import tqdm

    from ..evaluation.clips.report import format_report
    from ..evaluation.clips.run import PAGE, run_evaluation

    with tqdm(total=len(plan.pairs), unit="clip") as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(f"step {progress.step + 1}/{progress.num_steps}")

        try:
            report = run_evaluation(request, plan, args.output, args.overwrite, lambda: bar.update(), show)
        except torch.OutOfMemoryError as error:
            remedy = "Use a smaller --size or --context-length, or --dtype bfloat16"
            raise InputError(f"device {request.device}", "ran out of memory", remedy) from error
    print(
        f"{request.model}: {request.test}-reenactment of {len(report['clips'])} clips of {request.frames} "
        f"frames, {request.size} pixels, {request.sampling.num_inference_steps} steps, seed {request.seed}"
    )
    print(format_report(report))
    print(args.output / PAGE)
    return report


def _request(args: argparse.Namespace) -> EvaluationRequest:
    from ..animation.checks import check_controls
    from ..animation.plan import control_strengths, sampling_settings
    from ..animator import default_dtype, usable_device
    from ..evaluation.clips.request import EvaluationRequest
    from ..weights.folders import model_names
    from ..weights.loading import read_config, resolve_model

    machine, sampling = given_options(args, ModelOptions), given_options(args, SamplingOptions)
    config = read_config(resolve_model(machine.model, machine.models_folder))
    device = usable_device(machine.device)
    driving, controls = given_options(args, DrivingOptions), given_options(args, ControlOptions)
    strengths = control_strengths(controls, flag_name)
    check_controls(config, strengths, driving.best_frame)
    copied = ("test", "held_out", "clips", "frames", "stride", "reference_frame", "crop", "speech")
    paths = (
        *("data", "portraits", "base", "models_folder"),
        *("face_detector", "landmarker", "lpips_weights", "identity_weights", "fvd_weights"),
    )
    # Absolute, so that the report can be made again from another folder.
    given = {name: getattr(args, name) for name in paths if getattr(args, name) is not None}
    return EvaluationRequest(
        **{name: getattr(args, name) for name in copied},
        **dict(driving),
        **{name: path.absolute() for name, path in given.items()},
        model=args.model if args.model in model_names() else str(Path(args.model).expanduser().absolute()),
        loras=tuple((path.absolute(), scale) for path, scale in machine.lora),
        size=config.defaults.size if sampling.size is None else sampling.size,
        sampling=sampling_settings(config, sampling),
        strengths=strengths,
        device=str(device),
        dtype=machine.dtype or str(default_dtype(device)).removeprefix("torch."),
    )
