"""The stored corpus of synthetic speech; see tests/data/README.md."""

from __future__ import annotations

from pathlib import Path

SPEECH = Path(__file__).resolve().parent.parent / "data" / "speech.npz"
