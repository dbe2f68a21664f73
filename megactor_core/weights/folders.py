"""Folders of weights on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..families.registry import FAMILIES

BUNDLED = Path(__file__).parent
"""Folder of the models that come with the package."""


def model_names() -> tuple[str, ...]:
    """Names that a model can be loaded by: the bundled demo's, and those of families in the models folder."""
    return ("demo", *FAMILIES)


def models_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The models folder: the argument, else ``MEGACTOR_MODELS``, else ``megactor`` in the user's cache."""
    chosen = folder or os.environ.get("MEGACTOR_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "megactor"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "megactor"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "megactor"


def named_model_folder(name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Folder of one of ``model_names``, whether or not it exists."""
    return BUNDLED / name if name == "demo" else models_folder(folder) / name
