"""The command ``weights``: list, download, convert and verify model files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..families.features import has_controls, hears, is_transformer
from ..families.registry import FAMILIES, default_family, families_with, find_family
from .arguments import seed

DTYPES = ("float16", "bfloat16", "float32")


def add_parser(subparsers: Any) -> None:
    """Add the command and its actions to the main parser's ``add_subparsers`` object."""
    usual = default_family()
    parser = subparsers.add_parser(
        "weights",
        help="list, download, convert and verify model files",
        description="Everything about weight files. The demo model comes with the package; the official "
        "MegActor weights are downloaded and converted once.",
        epilog=f"Official weights in two commands, here {usual.label}'s:\n"
        f"  python -m megactor_core weights download {usual.name}\n"
        f"  python -m megactor_core weights convert {usual.name}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    _action(actions, "list", "show every known file: what it is for, where it comes from, whether it is here")

    download = _action(actions, "download", "fetch files; an interrupted download continues where it stopped")
    download.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="a family (official weights), 'vision' (what finds faces and people), or a name from 'list'",
    )

    convert = _action(actions, "convert", "turn the official weights into a model folder of safetensors")
    convert.add_argument(
        "source",
        nargs="?",
        default=usual.name,
        help="a family, where 'download' puts them, or the folder that holds a "
        f"checkpoint with the files that belong to it (default: {usual.name})",
    )
    convert.add_argument(
        "--output",
        type=Path,
        help="model folder to write (default: named by its family, in the models folder)",
    )
    convert.add_argument("--checkpoint", type=Path, help="the checkpoint file, if the folder holds several")
    _add_writing(convert, "float16", "as the official implementation runs")

    export = _action(
        actions, "export", "write a model in the official key layout, the way back from 'convert'"
    )
    export.add_argument("source", help=f"a model name ('{usual.name}') or a model folder")
    export.add_argument("output", type=Path, help="folder to write")
    _add_writing(export, "float32", "of which nothing is lost")

    steered, hearing, transformer = (
        families_with(feature)[0].name for feature in (has_controls, hears, is_transformer)
    )
    start = _action(
        actions,
        "start",
        "put public weights (Stable Diffusion 1.5, AnimateDiff, CLIP; PixArt, Latte) together: what training "
        "from scratch begins with",
    )
    start.add_argument("--family", default=usual.name, help=f"of the model to train (default: {usual.name})")
    start.add_argument("output", type=Path, help="model folder to write")
    start.add_argument(
        "--base",
        type=Path,
        required=True,
        help=f"Stable Diffusion 1.5: a checkpoint or its UNet; {steered}: or the folder of a small one; "
        f"{hearing}: or a model that does not hear yet (demo); {transformer}: PixArt-alpha 512 or Latte-1, "
        "file or folder, or a model of the kind",
    )
    start.add_argument(
        "--motion",
        type=Path,
        help=f"AnimateDiff's motion modules for it (v3_sd15_mm.ckpt); {steered}: new ones without it; "
        f"{transformer}: Latte-1 on PixArt's base, new ones without it",
    )
    start.add_argument(
        "--image-encoder", type=Path, help=f"{usual.name}: CLIP ViT-L/14 of transformers (model.safetensors)"
    )
    start.add_argument(
        "--context",
        type=Path,
        help=f"{steered}, {hearing}: the embedding of the empty text ({steered}'s default: of the text "
        f"encoder in --base); {transformer}: T5's, or zeros without it",
    )
    start.add_argument(
        "--audio-encoder",
        type=Path,
        help=f"{hearing}, {transformer}: Whisper tiny (model.safetensors), or the folder of one that was "
        "trained here",
    )
    start.add_argument(
        "--vae", type=Path, help="autoencoder by diffusers' names (default: the one in --base)"
    )
    start.add_argument("--seed", type=seed, default=0, help="of the weights that are new (default: 0)")
    _add_writing(start, "float16", "training computes with more")

    random = _action(actions, "random", "write a tiny model of random weights, to try a family's whole path")
    random.add_argument("family", help="its family; a wrong name is answered with all of them")
    random.add_argument("output", type=Path, help="model folder to write")
    random.add_argument("--seed", type=seed, default=0, help="seed of the weights (default: 0)")

    verify = _action(actions, "verify", "check sizes, sha256, keys and that all numbers are finite")
    verify.add_argument(
        "target",
        nargs="?",
        help=f"a model name ('demo', '{usual.name}'), a model folder or a file (default: everything here)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit status."""
    actions = {
        "list": _list,
        "download": _download,
        "convert": _convert,
        "export": _export,
        "random": _random,
        "start": _start,
        "verify": _verify,
    }
    return actions[args.action](args)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    description = text[0].upper() + text[1:] + "."
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=description)
    parser.add_argument(
        "--models-folder",
        type=Path,
        help="where models are kept (default: $MEGACTOR_MODELS, else the user's cache folder)",
    )
    return parser


def _add_writing(parser: argparse.ArgumentParser, dtype: str, reason: str) -> None:
    """Options of every command that writes a folder of weights."""
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default=dtype,
        help=f"number format of the written files (default: {dtype}, {reason})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")


def _list(args: argparse.Namespace) -> int:
    from ..weights.catalogue import catalogue
    from ..weights.download import is_present, local_path
    from ..weights.folders import model_names, models_folder, named_model_folder

    print(f"Models folder: {models_folder(args.models_folder)}\n")
    for name in model_names():
        folder = named_model_folder(name, args.models_folder)
        print(f"{name:24} model   {'ready' if (folder / 'config.json').is_file() else 'not here'}   {folder}")
    for known in catalogue():
        size = f"{known.size:,} bytes" if known.size else "size unknown"
        here = "here" if is_present(known, args.models_folder) else "not here"
        print(f"\n{known.name:24} {known.family:8} {here}   {size}   licence: {known.licence}")
        print(f"  {known.purpose}")
        print(f"  from {known.address}")
        print(f"  to   {local_path(known, args.models_folder)}")
        print(f"  sha256 {known.sha256 or 'unknown: the digest that the hub announces is checked'}")
    return 0


def _download(args: argparse.Namespace) -> int:
    from ..weights.catalogue import find_known
    from ..weights.download import fetch_file

    rows = [known for name in args.names for known in find_known(name)]
    for known in rows:
        print(f"{known.name}: {fetch_file(known, args.models_folder)}")
    for name in args.names:
        if name in FAMILIES and FAMILIES[name].is_published:
            print(f"Next: python -m megactor_core weights convert {name}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    import torch

    from ..weights.convert import convert_official
    from ..weights.folders import models_folder, named_model_folder
    from ..weights.official import find_official_files

    source = Path(args.source)
    if args.source in FAMILIES:
        source = models_folder(args.models_folder) / FAMILIES[args.source].folder
    output = args.output
    if output is None:
        family = find_official_files(source, args.checkpoint).family
        output = named_model_folder(family.name, args.models_folder)
    with _byte_bar("Converting") as show:
        report = convert_official(
            source,
            output,
            checkpoint=args.checkpoint,
            dtype=getattr(torch, args.dtype),
            overwrite=args.overwrite,
            progress=show,
        )
    for name, size in report.sizes.items():
        print(f"{name:20} {size / 1e9:6.2f} GB")
    for name, count in report.from_base.items():
        if count:
            print(f"{name}: {count} tensors the checkpoint lacks were taken from its starting weights")
    if report.recomputed:
        print(f"{report.recomputed} temporal position tables were recomputed")
    if report.choice:
        print(f"{report.checkpoint.name}: {report.choice}")
    if report.shared_vae is not None:
        print(f"The autoencoder is the same as that of {report.shared_vae} and is stored once")
    print(f"{report.ignored} tensors of {report.checkpoint.name} are not needed")
    print(f"Model folder: {report.output}")
    return 0


def _export(args: argparse.Namespace) -> int:
    import torch

    from ..weights.export import export_official
    from ..weights.loading import resolve_model

    source = resolve_model(args.source, args.models_folder)
    dtype = getattr(torch, args.dtype)
    for path in export_official(source, args.output, dtype=dtype, overwrite=args.overwrite):
        print(path)
    return 0


def _random(args: argparse.Namespace) -> int:
    from ..weights.random_model import write_random_model

    write_random_model(args.family, args.output, args.seed)
    print(f"Model folder: {args.output}")
    return 0


def _start(args: argparse.Namespace) -> int:
    import torch

    from ..weights.folders import model_names, named_model_folder
    from ..weights.start_controls import StartFiles, write_control_start
    from ..weights.start_hearing import HearingFiles, write_hearing_start
    from ..weights.start_model import write_start_model
    from ..weights.start_transformer import write_transformer_start

    family = find_family(args.family)
    base, hearing = args.base, hears(family.config)
    if str(base) in model_names():
        base = named_model_folder(str(base), args.models_folder)
    needed = {} if has_controls(family.config) else {"--audio-encoder": args.audio_encoder}
    if family is default_family():
        needed = {"--motion": args.motion, "--image-encoder": args.image_encoder}
    for flag, value in needed.items():
        if value is None:
            raise InputError(flag, f"is needed for {family.name}", "Name the file")
    options = {
        "seed": args.seed,
        "dtype": getattr(torch, args.dtype),
        "overwrite": args.overwrite,
    }
    with _byte_bar("Writing") as show:
        options["progress"] = show
        if has_controls(family.config):
            files = StartFiles(base, args.motion, args.vae, args.context)
            write_control_start(args.output, files, **options)
        elif hearing:
            sound = HearingFiles(base, args.audio_encoder, args.motion, args.vae, args.context)
            write = write_transformer_start if is_transformer(family.config) else write_hearing_start
            write(args.output, sound, **options)
        else:
            write_start_model(args.output, base, args.motion, args.image_encoder, args.vae, **options)
    print(f"Model folder: {args.output}")
    return 0


@contextmanager
def _byte_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, as the function that is told the bytes done and the bytes in all."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=title) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _verify(args: argparse.Namespace) -> int:
    from ..weights.verify import verify

    findings = 0
    failures = 0
    for finding in verify(args.target, args.models_folder):
        findings += 1
        failures += finding.problem is not None
        state = "FAILED" if finding.problem else "ok"
        print(f"{state:6} {finding.path}: {finding.problem or finding.detail}")
    print(f"{findings} files checked, {failures} with a problem")
    return 1 if failures else 0
