"""Command ``train``: run or go on with a training described by a YAML file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import InputError

_DESCRIPTION = """\
Train a model as a YAML file describes it; configs/train has complete examples.

The output folder holds config.json, log.jsonl (one JSON object per line), tensorboard/, validation/ (clips,
contact sheets and your own samples), checkpoints/ and, at the end, model/. Started again with the same
folder, a run goes on from its last checkpoint, and on a CPU it ends with exactly the weights of an unbroken
run. Ctrl-C (or SIGTERM) finishes the current step, saves a checkpoint and ends.

On several GPUs or machines, with the same result:

  accelerate launch --config_file configs/accelerate/ddp.yaml --num_processes 8 -m megactor_core train ...
"""


class _Describe(argparse.Action):
    """Prints the reference of all fields and ends."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: Any,
        values: str | Sequence[Any] | None,
        option: Any = None,
    ) -> NoReturn:
        from ..training.config.reference import field_reference

        print(field_reference(), end="")
        parser.exit()


def _setting(text: str) -> str:
    """``FIELD=VALUE``; whether there is such a field the configuration tells."""
    field, equals, _ = text.partition("=")
    if not field or not equals:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form FIELD=VALUE, as task.data.references=8"
        )
    return text


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train or fine-tune a model from a YAML file",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, metavar="YAML", help="what to train, and how")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of the run; a run found there goes on",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        type=_setting,
        default=(),
        metavar="FIELD=VALUE",
        help="values instead of the file's, e.g. precision=bf16 task.data.references=8",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FOLDER",
        help="write the model of the last checkpoint here and train nothing",
    )
    parser.add_argument(
        "--step", type=int, metavar="STEP", help="with --export: the kept checkpoint to write, not the last"
    )
    parser.add_argument(
        "--change",
        nargs="+",
        default=(),
        metavar="FIELD",
        help="go on although these fields have been changed in the file, e.g. optimizer.learning_rate",
    )
    parser.add_argument(
        "--restart-optimizer",
        action="store_true",
        help="go on with fresh moments, and warm the learning rate up anew",
    )
    parser.add_argument(
        "--describe", action=_Describe, nargs=0, help="print every field of a config, and end"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; 0 at the last step, and also after a stop that was asked for."""
    from ..training.config.run import read_config
    from ..training.distributed import join_process_group
    from ..training.engine.resume import Resume
    from ..training.engine.trainer import Trainer
    from ..training.tasks.registry import build_task

    if args.step is not None and args.export is None:
        raise InputError(f"--step {args.step}", "tells which checkpoint is exported", "Give --export FOLDER")
    resume = Resume(tuple(args.change), args.restart_optimizer, args.step)
    config = read_config(args.config, args.set)
    processes = join_process_group(config.device)
    trainer = Trainer(config, build_task(config, args.output), args.output, processes, resume)
    if args.export:
        trainer.export(args.export)
        end = f"step {trainer.state.step}: {args.export}"
    elif trainer.run():
        end = str(args.output / "model")
    else:
        end = f"stopped after step {trainer.state.step}; the same command goes on from there"
    if processes.is_main:
        print(end)
    processes.end()
    return 0
