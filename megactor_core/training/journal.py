"""The log of a run: one JSON object per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .files import refused_writes, write_text


class Journal:
    """Appends records to a JSON-lines file; opening it at a step drops what was logged after that step."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        write_text(path, "".join(line + "\n" for line in kept))

    def write(self, step: int, **values: Any) -> None:
        """Add one record; ``step`` counts the optimizer steps done.

        Raises:
            InputError: the file cannot be written.
        """
        with refused_writes(self.path, "it"), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def _lines(path: Path) -> list[str]:
    """Complete lines: a killed process can leave half a line at the end."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]
