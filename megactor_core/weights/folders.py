"""Where weights are kept on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BUNDLED = Path(__file__).parent
"""Folder of the models that come with the package."""

MODEL_NAMES = ("demo", "megactor", "megactor-sigma", "xportrait")
"""Names that a model can be loaded by; ``demo`` is bundled, the others are looked up in the models folder."""


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
    """Folder of a model from ``MODEL_NAMES``, whether or not it exists."""
    return BUNDLED / name if name == "demo" else models_folder(folder) / name
