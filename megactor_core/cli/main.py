"""The command line: one parser, one file per command, one line for every error."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from . import animate, dataset, evaluate, puppets, train, weights
from .ending import EXIT_ERROR, end_well

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS = {
    "animate": animate,
    "weights": weights,
    "puppets": puppets,
    "dataset": dataset,
    "train": train,
    "evaluate": evaluate,
}
"""Each module has ``add_parser(subparsers)`` and ``run(args)`` and is light to import."""

_EXAMPLES = """\
examples:
  python -m megactor_core animate --reference me.jpg --driving clip.mp4 --output result.mp4
  python -m megactor_core weights download face-detector
  python -m megactor_core animate --help
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.splitlines())
        self.exit(EXIT_ERROR, f"error: {line}. Help: {self.prog} --help\n")

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        # argparse itself passes over an output that cannot be written.
        print(self.format_help(), end="", file=file)


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
        The exit status, see ``ending.end_well``.
    """
    words = _with_negative_values(sys.argv[1:] if arguments is None else arguments)
    return end_well(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    args = build_parser().parse_args(words)
    with warnings.catch_warnings():
        # What libraries tell their programmers is no news for a user.
        warnings.filterwarnings("ignore", module="torch|diffusers|transformers")
        return COMMANDS[args.command].run(args)


def _with_negative_values(words: Iterable[str]) -> list[str]:
    """``--crop -50,0,9,9`` as ``--crop=-50,0,9,9``: argparse takes such values for options."""
    joined: list[str] = []
    for word in words:
        follows = joined and joined[-1].startswith("--") and "=" not in joined[-1]
        if follows and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
