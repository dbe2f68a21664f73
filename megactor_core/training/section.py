"""The base of every part of a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a configuration: immutable, unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
