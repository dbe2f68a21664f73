"""What a step over shards is: its settings, and what it does with one sample."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..training.section import Section

if TYPE_CHECKING:
    from .shards import Entry, Sample, Shard


class StepSettings(Section):
    """Settings of one step; fields that do not change its result are excluded from ``model_dump``."""

    step: ClassVar[str]

    @property
    def gpus(self) -> int:
        """GPUs that one shard's job needs; Ray gives it a machine that has them."""
        return 0

    def check(self) -> None:
        """Make sure that the step can run, before any work.

        Raises:
            InputError: a missing file, package or program.
        """

    def facts(self) -> dict[str, Any]:
        """The settings that decide the result, as JSON has them."""
        return self.model_dump(mode="json")


class SampleSettings(StepSettings, ABC):
    """Settings of a step that turns the samples of a shard into those of another, one by one."""

    @abstractmethod
    def open(self, shard: Shard) -> Worker:
        """Load what the step needs for the samples of one shard."""


@dataclass(frozen=True)
class Kept:
    """A sample that goes on.

    Attributes:
        sample: its parts, old and new.
        note: what could not be done for it, in words that many samples share; empty if nothing.
        detail: more about that.
    """

    sample: Sample
    note: str = ""
    detail: str = ""


class Rejected(Exception):
    """A sample does not go on.

    Args:
        reason: in words that many samples share, so that they can be counted.
        detail: more about this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


Worker = Callable[["Entry"], Kept]
"""Looks at one sample; raises ``Rejected`` or ``BrokenSample`` where it cannot go on."""


def digest(*values: Any) -> str:
    """A short name for what JSON can hold: equal values, equal names."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
