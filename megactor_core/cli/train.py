"""Command ``train``: run or go on with a training described by a YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path

_DESCRIPTION = """\
Train a model as a YAML file describes it; configs/train has complete examples.

The output folder holds config.json, log.jsonl (one JSON object per line), validation/ (contact sheets),
checkpoints/ and, at the end, model/. Started again with the same folder, a run goes on from its last
checkpoint, and on a CPU it ends with exactly the weights of an unbroken run. Ctrl-C (or SIGTERM) finishes the
current step, saves a checkpoint and ends.
"""


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
        "--export",
        type=Path,
        metavar="FOLDER",
        help="write the model of the last checkpoint here and train nothing",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; 0 at the last step, and also after a stop that was asked for."""
    from ..training.config import read_config
    from ..training.loop import Trainer
    from ..training.processes import join_processes
    from ..training.tasks import build_task

    config = read_config(args.config)
    processes = join_processes(config.device)
    trainer = Trainer(config, build_task(config, args.output), args.output, processes)
    if args.export:
        trainer.export(args.export)
        end = f"step {trainer.state.step}: {args.export}"
    elif trainer.run():
        end = str(args.output / "model")
    else:
        end = f"stopped after step {trainer.state.step}; the same command goes on from there"
    if processes.is_main:
        print(end)
    return 0
