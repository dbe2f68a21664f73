"""The base of every part of a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a configuration: immutable; unknown fields, infinity and NaN are errors.

    Every number has a lower and an upper bound: what lies outside is a slip of the keyboard, told before any
    work begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
