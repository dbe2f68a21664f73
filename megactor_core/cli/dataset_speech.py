"""Command ``dataset speech``: a corpus of synthetic speech with the time of every phoneme."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import seed, share, whole_number

_DESCRIPTION = """\
Let the speech synthesiser espeak-ng say random words, and keep the sound with the time of every phoneme: it
is what puppets say (puppets --speech, and "speech" in a training's data). Training and held-out utterances
have no word and no voice in common. The same numbers give the same file with the same version of espeak-ng.

Needs the package espeakng-loader: pip install 'megactor[speech]'. It is under the GPL 3, and is run as a
program of its own; the corpus can be used without it.
"""
_MOST = 20_000  # they are collected in memory


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``dataset``."""
    parser = steps.add_parser(
        "speech",
        help="sentences that puppets say",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, metavar="NPZ", help="the corpus")
    parser.add_argument(
        "--count",
        type=whole_number(1, _MOST),
        default=1200,
        metavar="N",
        help="utterances, of about 2 seconds each (default: 1200)",
    )
    parser.add_argument(
        "--held-out",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="share of them that no training hears (default: 0.1)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="another seed gives other utterances (default: 0)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file of an earlier run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make and write the corpus; 0 when it is written."""
    from tqdm import tqdm

    from ..files import check_output
    from ..puppets.speech.corpus import write_corpus
    from ..puppets.speech.engine import SpeechEngine
    from ..puppets.speech.mouth import unknown_phonemes
    from ..puppets.speech.synthesis import synthesise

    check_output(args.output, (".npz",), args.overwrite)
    held_out = round(args.count * args.held_out)
    with SpeechEngine() as engine:
        made = synthesise(engine, args.seed, {"train": args.count - held_out, "held-out": held_out})
        utterances, sounds = zip(*tqdm(made, total=args.count, unit="utterance"), strict=True)
    write_corpus(args.output, engine.version, utterances, sounds, overwrite=args.overwrite)
    phonemes = [phoneme for utterance in utterances for phoneme in utterance.phonemes]
    minutes = sum(utterance.duration for utterance in utterances) / 60
    print(f"{args.output}: {args.count} utterances, {held_out} of them held out, {minutes:.1f} minutes")
    unknown = unknown_phonemes(phonemes)
    if unknown:
        names = ", ".join(sorted(set(unknown)))
        print(f"  {len(unknown)} of {len(phonemes)} phonemes have no shape of a mouth: {names}")
    return 0
