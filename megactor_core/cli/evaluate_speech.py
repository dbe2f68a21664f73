"""Test ``speech`` of the command ``evaluate``: what moves the mouth of puppets that speak."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families.features import hears
from ..families.registry import labels_with, model_with
from .arguments import whole_number
from .puppet_flags import add_clip_flags, heading, puppet_sampling
from .report_files import add_file_flags, check_files, need_packages, write_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..evaluation.speech.drives import SpeakingPuppet
    from ..evaluation.speech.evaluate import SpeechSettings
    from ..evaluation.speech.reading import SpeechReading
    from ..media.pictures import Images
    from ..models.config import ModelConfig

PARTS = ("speech", "amplitude", "decoupling", "shortcut")

_DESCRIPTION = """\
Let puppets that no training can contain speak, with voices and words that none contains either, and read
from the frames what moved the mouth. The driver has the head, eyes and brows of the truth; its mouth is at
rest and not shown, so that only the sound tells the lips. The parts are
  speech       correlation with the spoken mouth of its own sound, another clip's, and silence; lag; closed
               lips; stillness in pauses and in silence; the rest of the face
  amplitude    how far the mouth opens at the amplitudes 0, .5, 1 and 1.5 of speech
  decoupling   whether a driver's mouth that moves and is not shown comes through, and whether one that is
               shown does in silence
  shortcut     whether brows that are shown open the mouth in silence, as in a model that learnt to guess it

Example: python -m megactor_core evaluate speech --model MODEL --speech speech.npz --output speech.json \\
  --page speech.html
"""


def add_test(tests: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the test to the command."""
    parser = tests.add_parser(
        "speech",
        help="puppets that speak: what moves the mouth",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help=f"{labels_with(hears)}: its name or a model folder"
    )
    parser.add_argument(
        "--speech", type=Path, required=True, metavar="NPZ", help="corpus of speech, made by: dataset speech"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help="some of them (default: all)"
    )
    add_clip_flags(parser, frames=50, fewest=1, num_steps=4)
    parser.add_argument(
        "--driving-mode",
        metavar="MODE",
        help="how the driver is shown without its mouth, see animate (default: the model's for speech)",
    )
    parser.add_argument(
        "--fit-frames",
        type=whole_number(1),
        default=2,
        metavar="K",
        help="read the mouth from every K-th frame (default: 2)",
    )
    parser.add_argument(
        "--bound-clips",
        type=whole_number(0),
        default=8,
        metavar="N",
        help="read the truth of so many clips too, 0: of none (default: 8)",
    )
    parser.add_argument("--page", type=Path, metavar="HTML", help="write the report with plots")
    add_file_flags(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write what was asked for; 0 when done."""
    from ..weights.loading import read_config, resolve_model

    config = read_config(resolve_model(args.model))
    _check(args, config)
    import numpy as np
    from tqdm import tqdm

    from ..animator import Animator
    from ..evaluation.speech.evaluate import evaluate_speech
    from ..evaluation.speech.report import CLIPS, build_report, format_report, speech_rows
    from ..files import new_file
    from ..media.pictures import save_picture
    from ..puppets.speech.corpus import SpeechCorpus

    settings, corpus = _settings(args, config), SpeechCorpus.read(args.speech)
    corpus.of_split("held-out")
    animator = Animator.from_pretrained(args.model, device=args.device)
    animator.check_memory(settings.sampling, settings.size, settings.frames)
    readings: list[SpeechReading] = []
    rows: list[Images] = []
    with tqdm(total=args.clips, unit="clip") as bar:

        def keep(reading: SpeechReading, puppet: SpeakingPuppet, outputs: Mapping[str, Images]) -> None:
            readings.append(reading)
            if len(rows) < CLIPS:
                rows.append(speech_rows(puppet, outputs))
            bar.update()

        evaluate_speech(animator, settings, corpus, keep)
    report = build_report(animator.model, settings, corpus, readings)
    print(heading(args, settings.size))
    print(format_report(report))
    if args.output:
        write_report(args.output, report, args.overwrite)
    if args.sheet:
        save_picture(args.sheet, np.vstack(rows), args.overwrite)
        print(args.sheet)
    if args.page:
        from ..evaluation.speech.page import speech_page

        with new_file(args.page, args.overwrite) as temporary:
            temporary.write_text(speech_page(report, rows), encoding="utf-8")
        print(args.page)
    return 0


def _settings(args: argparse.Namespace, config: ModelConfig) -> SpeechSettings:
    from ..animation.checks import checked_mode
    from ..animator import checked_size
    from ..evaluation.speech.evaluate import SpeechSettings

    return SpeechSettings(
        seed=args.seed,
        clips=args.clips,
        frames=args.frames,
        size=checked_size(config.defaults.size if args.size is None else args.size),
        parts=tuple(part for part in PARTS if part in args.parts),
        driving_mode=checked_mode(config, args.driving_mode, speech=True),
        shown_mode=checked_mode(config),
        fit_frames=args.fit_frames,
        bound_clips=args.bound_clips,
        sampling=puppet_sampling(args, config),
    )


def _check(args: argparse.Namespace, config: ModelConfig) -> None:
    if not hears(config):
        problem = f"a model of the family {config.family} hears nothing"
        raise InputError(args.model, problem, f"Use {model_with(hears)}")
    need_packages("evaluate speech", "torchmetrics", *["matplotlib"] * (args.page is not None))
    from ..evaluation.measures.lip_motion import FEWEST_FRAMES

    # So many are read for the lag, less those at the clip's ends.
    fewest = FEWEST_FRAMES * max(1, args.fit_frames // 2)
    if args.frames < fewest:
        subject = f"--frames {args.frames}"
        raise InputError(
            subject, f"is too few to read a lag, at --fit-frames {args.fit_frames}", f"Give {fewest}"
        )
    check_files(args)
