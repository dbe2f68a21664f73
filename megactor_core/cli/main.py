"""The command line: one parser, one file per command, one line for every error."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from ..errors import InputError
from . import animate, dataset, evaluate, puppets, train, weights

COMMANDS = {
    "animate": animate,
    "weights": weights,
    "puppets": puppets,
    "dataset": dataset,
    "train": train,
    "evaluate": evaluate,
}
"""Each module has ``add_parser(subparsers)`` and ``run(args)`` and is light to import."""

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_EXAMPLES = """\
examples:
  python -m megactor_core animate --reference me.jpg --driving clip.mp4 --output result.mp4
  python -m megactor_core weights download face-detector
  python -m megactor_core animate --help
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_ERROR, f"error: {message}. Help: {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; loads no heavy package."""
    parser = Parser(
        prog="python -m megactor_core",
        description="Animate one portrait with the motion of a driving video.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS.values():
        module.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; the process's own by default.

    Returns:
        The exit status: 0; 2 for an input that cannot be used, told in one line; 130 after Ctrl-C.
    """
    args = build_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # What libraries tell their programmers is no news for a user.
            warnings.filterwarnings("ignore", module="torch|diffusers|transformers")
            return COMMANDS[args.command].run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("stopped by the user", file=sys.stderr)
        return EXIT_INTERRUPTED
