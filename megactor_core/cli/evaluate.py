"""Command ``evaluate``: how well a model animates, in numbers; here the test on held-out puppets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families.registry import default_family
from . import evaluate_pictures, evaluate_speech
from .arguments import whole_number
from .evaluate_reenactment import add_tests
from .puppet_flags import add_clip_flags, heading, puppet_sampling
from .report_files import add_file_flags, check_files, need_packages, write_report

if TYPE_CHECKING:
    from ..evaluation.puppets.evaluate import ClipFrames, ClipResult, EvaluationSettings
    from ..models.config import ModelConfig

_DESCRIPTION = """\
Animate puppets that no training can contain, and compare with what a perfect animation would show: a puppet
is rendered, so the same motion on another face is known exactly.

Each clip is driven by another identity with the wanted motion (cross identity), by a second such driver, by
the truth itself (self drive), by another clip's motion (shuffled), by nothing (removed), and by the
reference, which then should stay as it is (stillness). The table shows
  PSNR and SSIM   against the truth, beside the autoencoder (the best this model could do) and the reference
  stillness       PSNR of the reference driven by itself: what is lost of the person without any motion
  leakage         how alike the outputs of two drivers are; high: the driver's looks do not come through
  identity        by how much the output is closer to the truth than to the driver, or to its face's shape;
                  and the error of the face's width and height
  scale leak      with --scale-leak: by how much a stretched driver widens the output's face
  background      PSNR where the truth shows nothing but background
  flicker         change from frame to frame, everywhere and where the truth stands still
  sharpness       energy of fine lines and edges, beside that of the truth
  motion          correlation with the truth of each motion parameter, read from the frames by the renderer

Example: python -m megactor_core evaluate puppets --model demo --output report.json --sheet sheet.png
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure how well a model animates",
        description="Measure how well a model animates: puppets with exact truth, or real clips.",
    )
    tests = parser.add_subparsers(dest="test", required=True, metavar="TEST")
    puppets = tests.add_parser(
        "puppets",
        help="held-out cartoon faces with exact truth",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    puppets.add_argument(
        "--model",
        default="demo",
        metavar="MODEL",
        help=f"demo, {default_family().name} or a model folder (default: demo)",
    )
    add_clip_flags(puppets, frames=16, fewest=2, num_steps=10)
    puppets.add_argument(
        "--driving-condition",
        choices=("face", "whole"),
        default="face",
        help="how drivers are shown to the model, in grey: face on black, or whole frame (default: face)",
    )
    puppets.add_argument(
        "--driving-mode",
        metavar="MODE",
        help="what is shown of the drivers, see animate (default: the model's)",
    )
    puppets.add_argument(
        "--fit-frames",
        type=whole_number(0),
        default=2,
        metavar="K",
        help="read the motion from every K-th frame, 0: not at all (default: 2)",
    )
    puppets.add_argument(
        "--scale-leak",
        action="store_true",
        help="try stretched drivers too: does the width of their faces come through?",
    )
    add_file_flags(puppets)
    puppets.set_defaults(run=run_puppets)
    evaluate_speech.add_test(tests)
    evaluate_pictures.add_test(tests)
    add_tests(tests)


def run(args: argparse.Namespace) -> int:
    """Run the test that was asked for."""
    return args.run(args)


def run_puppets(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write what was asked for; 0 when done."""
    need_packages("evaluate puppets", "torchmetrics")
    check_files(args)
    from tqdm import tqdm

    from ..animator import Animator
    from ..evaluation.puppets.evaluate import evaluate_puppets
    from ..evaluation.puppets.report import CLIPS, build_report, format_report, puppet_sheet
    from ..media.pictures import save_picture
    from ..weights.loading import read_config, resolve_model

    settings = _settings(args, read_config(resolve_model(args.model)))
    animator = Animator.from_pretrained(args.model, device=args.device)
    animator.check_memory(settings.sampling, settings.size, settings.frames)
    results: list[ClipResult] = []
    shown: list[ClipFrames] = []
    with tqdm(total=args.clips, unit="clip") as bar:

        def keep(result: ClipResult, frames: ClipFrames) -> None:
            results.append(result)
            if len(shown) < CLIPS:
                shown.append(frames)
            bar.update()
            bar.set_postfix(psnr=f"{result.scores['psnr']['cross']:.1f}")

        evaluate_puppets(animator, settings, keep)
    report = build_report(animator.model, settings, results)
    print(heading(args, settings.size))
    print(format_report(report))
    if args.output:
        write_report(args.output, report, args.overwrite)
    if args.sheet:
        save_picture(args.sheet, puppet_sheet(shown), args.overwrite)
        print(args.sheet)
    return 0


def _settings(args: argparse.Namespace, config: ModelConfig) -> EvaluationSettings:
    from ..animation.checks import checked_mode
    from ..animator import checked_size
    from ..evaluation.puppets.evaluate import EvaluationSettings
    from ..vision.modes.registry import MODES

    mode = MODES[checked_mode(config, args.driving_mode)]
    if args.driving_condition == "whole" and mode.landmarks != "none":
        raise InputError(
            "--driving-condition whole", f"does not go with the mode {mode.name}", "Leave it out"
        )
    if args.scale_leak and not args.fit_frames:
        raise InputError("--scale-leak", "reads the face from the frames", "Leave out --fit-frames 0")
    return EvaluationSettings(
        seed=args.seed,
        clips=args.clips,
        frames=args.frames,
        size=checked_size(config.defaults.size if args.size is None else args.size),
        driving_condition=args.driving_condition,
        fit_frames=args.fit_frames,
        sampling=puppet_sampling(args, config),
        driving_mode=mode.name,
        scale_leak=args.scale_leak,
    )
