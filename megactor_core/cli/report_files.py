"""What every test of the command ``evaluate`` needs and writes: packages, a report, a sheet."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import InputError

_SUFFIXES = {"output": ".json", "sheet": ".png", "page": ".html"}


def add_file_flags(group: argparse._ActionsContainer) -> None:
    """Flags of report and sheet."""
    group.add_argument("--output", type=Path, metavar="JSON", help="write the whole report to this file")
    group.add_argument("--sheet", type=Path, metavar="PNG", help="write a picture of them")
    group.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")


def check_files(args: argparse.Namespace) -> None:
    """Check the names of all files that the flags ask for.

    Raises:
        InputError: one that cannot be written, or would replace another.
    """
    from ..files import check_output

    for name, suffix in _SUFFIXES.items():
        if path := getattr(args, name, None):
            check_output(path, (suffix,), args.overwrite)


def need_packages(command: str, *packages: str) -> None:
    """Raises InputError where optional packages that a command needs are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        problem = f"needs {' and '.join(missing)}, not installed here"
        raise InputError(command, problem, f"Run: pip install {' '.join(missing)}")


def write_report(path: Path, report: dict[str, Any], overwrite: bool) -> None:
    """Write a report as JSON and say where it is.

    Raises:
        InputError: the file cannot be written.
    """
    from ..files import new_file

    with new_file(path, overwrite) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(path)
