"""Command ``puppets``: a folder of rendered clips with exact cross-identity truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import seed, whole_number

if TYPE_CHECKING:
    from ..puppets.clips import PuppetClip
    from ..puppets.motion import FloatArray

_DESCRIPTION = """\
Render clips of puppets: cartoon faces with random appearance and lively motion. Training and evaluation draw
the same puppets by themselves; this command shows what they see, and makes clips to try animations with.

Each clip has two persons who move alike. Clip 000 is written as
  000_reference.png  the first person, in another pose: the picture to be animated
  000_driver.mp4     the second person: the motion
  000_truth.mp4      the first person with that motion: what a perfect animation would show
  000_sheet.png      all of it at a glance (driver above, reference and truth below)
With a corpus of speech (made by: dataset speech) both say random words of it in both videos, and there is
  000_sound.wav      what they say, 16 kHz mono

Example: python -m megactor_core puppets --output puppets --clips 4 --size 256
"""
_SMALLEST, _LARGEST = 48, 1024
_LONGEST = 100_000  # frames; the motion of a clip is drawn as a whole
_SHEET_COLUMNS = 8


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "puppets",
        help="render clips of cartoon faces with known motion",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder for the files; created when missing",
    )
    parser.add_argument(
        "--clips", type=whole_number(1), default=4, metavar="N", help="number of clips (default: 4)"
    )
    parser.add_argument(
        "--frames",
        type=whole_number(1, _LONGEST),
        default=75,
        metavar="N",
        help="frames of each clip, at 25 a second (default: 75)",
    )
    parser.add_argument(
        "--size",
        type=whole_number(_SMALLEST, _LARGEST),
        default=256,
        metavar="PIXELS",
        help=f"side of the square pictures, {_SMALLEST} to {_LARGEST} (default: 256)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="another seed gives other clips (default: 0)"
    )
    parser.add_argument(
        "--split",
        choices=("train", "held-out"),
        default="train",
        help="held-out: clips that no training can contain, whatever its seed (default: train)",
    )
    parser.add_argument(
        "--speech", type=Path, metavar="NPZ", help="corpus of speech of which the puppets say something"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render and write all clips; 0 when everything is written."""
    from tqdm import tqdm

    from ..puppets.clips import sample_clip
    from ..puppets.speaking import sample_speaking_clip
    from ..puppets.speech.corpus import SpeechCorpus

    corpus = None
    if args.speech is not None:
        corpus = SpeechCorpus.read(args.speech)
        corpus.of_split(args.split)
    names = [f"{index:03d}" for index in range(args.clips)]
    with _folder(args.output):
        if not args.overwrite:
            _refuse_existing(args.output, names, speaks=corpus is not None)
        for index, name in enumerate(tqdm(names, unit="clip")):
            stem = args.output / name
            if corpus is None:
                clip = sample_clip(args.seed, index, args.frames, args.split)
                _write_clip(clip, stem, args.size, args.overwrite)
            else:
                spoken = sample_speaking_clip(args.seed, index, args.frames, corpus, args.split)
                _write_clip(spoken.clip, stem, args.size, args.overwrite, spoken.heard)
                _write_sound(stem.with_name(f"{name}_sound.wav"), spoken.heard, args.overwrite)
    print(args.output)
    return 0


def _write_clip(
    clip: PuppetClip, stem: Path, size: int, overwrite: bool, sound: FloatArray | None = None
) -> None:
    """Render and write one clip frame by frame; ``stem``: path that the file names begin with."""
    import numpy as np

    from ..media.pictures import save_picture
    from ..media.samples import Samples
    from ..media.waveform import SAMPLE_RATE
    from ..media.writing import VideoWriter
    from ..puppets.renderer import Puppet

    count = len(clip.motion)
    shown = set(np.linspace(0, count - 1, min(_SHEET_COLUMNS, count)).round().astype(int).tolist())
    reference = Puppet(clip.identity, size).image(clip.reference_pose)
    save_picture(f"{stem}_reference.png", reference, overwrite)
    rows = []
    for kind, identity, first in (
        ("driver", clip.driver_identity, np.full_like(reference, 255)),
        ("truth", clip.identity, reference),
    ):
        puppet, row = Puppet(identity, size), [first]
        rate = Fraction(clip.frame_rate)
        path, speech = f"{stem}_{kind}.mp4", None if sound is None else Samples(sound[None], SAMPLE_RATE)
        with VideoWriter(path, size, size, rate, speech, overwrite) as writer:
            for index, motion in enumerate(clip.motion):
                image = puppet.image(motion)
                writer.write(image)
                if index in shown:
                    row.append(image)
        rows.append(np.hstack(row))
    save_picture(f"{stem}_sheet.png", np.vstack(rows), overwrite)


def _write_sound(path: Path, sound: FloatArray, overwrite: bool) -> None:
    import wave

    import numpy as np

    from ..files import new_file
    from ..media.waveform import SAMPLE_RATE

    with new_file(path, overwrite) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound * 32767).round().astype(np.int16).tobytes())


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make the folder; take it away again when nothing came into it."""
    existed = path.is_dir()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(path, f"cannot be made a folder ({reason})", "Choose another --output") from error
    try:
        yield
    finally:
        if not existed and not any(path.iterdir()):
            path.rmdir()


def _refuse_existing(folder: Path, names: list[str], *, speaks: bool) -> None:
    for name in names:
        for kind in ("reference.png", "driver.mp4", "truth.mp4", "sheet.png", *["sound.wav"] * speaks):
            if (folder / f"{name}_{kind}").exists():
                raise InputError(
                    folder / f"{name}_{kind}", "exists already", "Choose another folder, or allow --overwrite"
                )
