"""The command line: one parser, one file per command, one line for every error."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from megactor_core.errors import InputError

COMMANDS = ("animate", "weights", "puppets", "train", "evaluate")
"""Each is a module of this package with ``add_parser(subparsers)`` and ``run(args)``, light to import."""

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
    for name in COMMANDS:
        if importlib.util.find_spec(f"megactor_core.cli.{name}") is None:
            continue
        _module(name).add_parser(subparsers)
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
            return int(_module(args.command).run(args))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("stopped: no unfinished file was left", file=sys.stderr)
        return EXIT_INTERRUPTED


def _module(name: str) -> Any:
    return importlib.import_module(f"megactor_core.cli.{name}")
