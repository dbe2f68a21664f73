"""Test ``pictures`` of the command ``evaluate``: what is lost of a picture that drives itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..animation.options import CropOptions, ModelOptions, SamplingOptions
from ..errors import InputError
from .arguments import whole_number
from .flags import add_flag, add_flags, given_options
from .model_settings import driving_landmarker, find_face_detector
from .report_files import add_file_flags, check_files, need_packages, write_report

if TYPE_CHECKING:
    from ..evaluation.stillness import StillPicture

_DESCRIPTION = """\
Let photographs, paintings or drawings drive themselves. Nothing moves, so that the picture itself is the
truth: the closer the output, the more is kept of who it is. Beside it stands the autoencoder alone, which is
the best that the model can do. Sharpness is the energy of fine lines and edges over that of the picture: a
blurred picture may come close, but is not sharp. Pictures that cannot be used are told and left out.

Example: python -m megactor_core evaluate pictures --model demo --data pictures --crop whole --sheet sheet.png
"""


def add_test(tests: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the test to the command."""
    parser = tests.add_parser(
        "pictures",
        help="pictures that drive themselves: what is lost of them",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="of pictures")
    pictures.add_argument(
        "--frames",
        type=whole_number(1),
        default=2,
        metavar="N",
        help="frames of the clip that a picture drives (default: 2)",
    )
    add_flag(
        pictures,
        CropOptions,
        "crop",
        choices=("face", "whole", "squash"),
        type=None,
        metavar=None,
        help="the square of every picture, see animate (default: face)",
    )
    add_flags(parser.add_argument_group("sampling"), SamplingOptions)
    add_flags(parser.add_argument_group("model and machine"), ModelOptions)
    add_file_flags(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write what was asked for; 0 when done."""
    need_packages("evaluate pictures", "torchmetrics")
    check_files(args)
    import torch
    from tqdm import tqdm

    from ..animation.checks import checked_mode
    from ..animation.plan import sampling_settings
    from ..animator import Animator, checked_size, default_dtype, usable_device
    from ..evaluation.clips.files import find_portraits
    from ..evaluation.stillness import animate_still, build_report, format_report, picture_sheet
    from ..media.pictures import save_picture
    from ..weights.loading import read_config, resolve_model

    paths = find_portraits(args.data)
    machine, sampling = given_options(args, ModelOptions), given_options(args, SamplingOptions)
    config = read_config(resolve_model(machine.model, machine.models_folder))
    settings = sampling_settings(config, sampling)
    size = checked_size(config.defaults.size if sampling.size is None else sampling.size)
    detector = find_face_detector(machine, {"--crop": args.crop})
    device = usable_device(machine.device)
    animator = Animator.from_pretrained(
        machine.model,
        device=device,
        dtype=getattr(torch, machine.dtype) if machine.dtype else default_dtype(device),
        folder=machine.models_folder,
        face_detector=detector,
        landmarker=driving_landmarker(machine, checked_mode(config)),
        person_segmenter=machine.person_segmenter,
        base=machine.base,
        loras=machine.lora,
    )
    pictures: list[StillPicture] = []
    for path in tqdm(paths, unit="picture"):
        name = str(path.relative_to(args.data))
        try:
            pictures.append(animate_still(animator, path, name, args.crop, size, args.frames, settings))
        except InputError as error:
            tqdm.write(f"{name}: {error.problem}")
    if not pictures:
        raise InputError(args.data, "holds no picture that can be animated", "Give others, or another --crop")
    report = build_report(animator.model, pictures, size, args.crop, args.frames, settings)
    print(
        f"{machine.model}: {len(pictures)} pictures that drive themselves, {size} pixels, "
        f"{settings.num_inference_steps} steps, seed {settings.seed}"
    )
    print(format_report(report))
    if args.output:
        write_report(args.output, report, args.overwrite)
    if args.sheet:
        save_picture(args.sheet, picture_sheet(pictures), args.overwrite)
        print(args.sheet)
    return 0
