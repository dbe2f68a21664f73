"""Command ``dataset``: from videos to shards that a training draws clips from, step by step."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from ..dataset.settings import STEPS, PackSettings, SampleSettings, StepSettings
from ..errors import InputError
from . import dataset_speech
from .arguments import whole_number

_DESCRIPTION = """\
Make training data out of videos. Each step reads a folder of shards (WebDataset tar files) and writes another
folder; pack, the first one, reads videos:

  pack        videos -> clips between cuts, encoded alike, with their sound, in shards
  faces       finds the face in every frame; leaves out clips without a steady, large, lit face
  valid       keeps the clips in nearly all frames of which one person is seen, large and whole
  frontal     keeps the clips in which the face looks to the front
  moves       keeps the clips in which the head stays in its place
  sync        keeps the clips whose mouth goes with their sound (SyncNet, or the lips' landmarks)
  background  parts the person from the background
  swap        a version of each clip with another face (your face-swap program, or a built-in disguise)
  stylise     a version of each clip in another style (diffusers image-to-image)
  gaze        keeps the clips in which the eyes move much
  stats       hours, persons, sizes, head pose, gaze and sound, as JSON and plots
  inspect     a picture of some clips of a shard

One more makes data out of nothing:

  speech      sentences by a speech synthesiser, from which puppets learn to speak

A step can be stopped at any moment, kill -9 included: the same command goes on, and finished shards are not
made again. manifest.json in the output tells how many clips came in and went out, and why others did not.

Example:
  python -m megactor_core dataset pack --input videos --output shards/1_clips
  python -m megactor_core dataset faces --input shards/1_clips --output shards/2_faces
"""
_MOST_WORKERS = 1024


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "dataset",
        help="make training data out of videos",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for settings in STEPS:
        _add_step(steps, settings)
    stats = steps.add_parser("stats", help="what shards hold", description="Count what shards hold.")
    stats.add_argument(
        "--input", type=Path, nargs="+", required=True, metavar="PATH", help="folders or shards"
    )
    stats.add_argument("--output", type=Path, required=True, metavar="JSON", help="the numbers")
    stats.add_argument("--plots", type=Path, metavar="PNG", help="the plots; needs matplotlib")
    stats.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    stats.set_defaults(run=_stats)
    inspect = steps.add_parser(
        "inspect", help="a picture of a shard", description="Show frames of some clips and of their versions."
    )
    inspect.add_argument("--input", type=Path, required=True, metavar="TAR", help="a shard")
    inspect.add_argument("--output", type=Path, required=True, metavar="PNG", help="the picture")
    inspect.add_argument(
        "--clips", type=whole_number(1, 1000), default=4, metavar="N", help="number of clips (default: 4)"
    )
    inspect.add_argument(
        "--first", type=whole_number(0), default=0, metavar="I", help="number of the first (default: 0)"
    )
    inspect.add_argument("--overwrite", action="store_true", help="replace a file of an earlier run")
    inspect.set_defaults(run=_inspect)
    dataset_speech.add_parser(steps)


def run(args: argparse.Namespace) -> int:
    """Run the step; 0 when it is finished."""
    return int(args.run(args))


def _add_step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser], settings: type[StepSettings]
) -> None:
    text = settings.__doc__ or ""
    parser = steps.add_parser(settings.step, help=text.split(".")[0].lower(), description=text)
    source = "folder of videos" if settings is PackSettings else "folder of shards"
    parser.add_argument("--input", type=Path, required=True, metavar="FOLDER", help=source)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="for the shards; goes on with its own"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, _MOST_WORKERS),
        default=1,
        metavar="N",
        help="processes on this machine (default: 1)",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run on a Ray cluster (auto: the one of this machine); without an address: $RAY_ADDRESS, or "
        "this machine alone. All machines must see the folders under the same paths",
    )
    for name, field in settings.model_fields.items():
        default = "" if field.default is None else f" (default: {field.default})"
        choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar="|".join(choices) if choices else "PATH" if "Path" in str(field.annotation) else "X",
            default=argparse.SUPPRESS,
            help=f"{field.description}{default}".replace("%", "%%"),
        )
    parser.set_defaults(run=_run_step, settings=settings)


def _run_step(args: argparse.Namespace) -> int:
    from ..dataset.parallel import Executor
    from ..dataset.runner import run_step

    settings = _settings(args.settings, vars(args))
    executor = Executor(args.workers, args.ray)
    if isinstance(settings, PackSettings):
        from ..dataset.pack import pack

        manifest = pack(settings, args.input, args.output, executor)
    else:
        assert isinstance(settings, SampleSettings)
        manifest = run_step(settings, args.input, args.output, executor)
    print(f"{args.output}: {manifest['in']} in, {manifest['out']} out")
    for verb, counts in (("left out", manifest["rejected"]), ("kept, but", manifest["noted"])):
        for reason, count in counts.items():
            print(f"  {count} {verb}: {reason}")
    for suffix, count in manifest.get("passed_over", {}).items():
        print(f"  {count} passed over: {suffix or 'files without a suffix'}, no video by the name")
    return 0


def _settings(kind: type[StepSettings], values: Mapping[str, Any]) -> StepSettings:
    given = {name: values[name] for name in kind.model_fields if name in values}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}" if first["loc"] else kind.step
        problem = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{option} {first['input']}", problem, f"See: dataset {kind.step} --help") from None


def _stats(args: argparse.Namespace) -> int:
    from ..dataset.stats import collect_stats, plot_stats
    from ..files import check_output, new_file

    check_output(args.output, (".json",), args.overwrite)
    if args.plots:
        check_output(args.plots, (".png",), args.overwrite)
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise InputError(
                "--plots", "needs the package matplotlib", "Run: pip install matplotlib"
            ) from error
    stats = collect_stats(args.input)
    with new_file(args.output, args.overwrite) as temporary:
        temporary.write_text(json.dumps(stats.numbers, indent=1) + "\n", encoding="utf-8")
    if args.plots:
        with new_file(args.plots, args.overwrite) as temporary:
            temporary.write_bytes(plot_stats(stats))
    numbers = stats.numbers
    print(f"{numbers['clips']} clips, {numbers['hours']} hours, {numbers['identities']} persons")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from ..dataset.inspect import shard_sheet
    from ..files import check_output
    from ..media.pictures import SAVE_SUFFIXES, save_picture

    check_output(args.output, SAVE_SUFFIXES, args.overwrite)
    sheet, lines = shard_sheet(args.input, args.clips, args.first)
    save_picture(args.output, sheet, args.overwrite)
    print(*lines, args.output, sep="\n")
    return 0
