"""What a report says of the model that was measured."""

from __future__ import annotations

from typing import Any

from ..weights.download import file_sha256
from ..weights.loading import LoadedModel


def model_record(model: LoadedModel) -> dict[str, Any]:
    """``folder``, and ``sha256`` of each file of weights in it."""
    files = sorted(model.source.glob("*.safetensors"))
    return {"folder": str(model.source), "sha256": {path.name: file_sha256(path) for path in files}}
