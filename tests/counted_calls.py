"""How often functions are called, wherever they have been imported by name."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest


def count_calls(monkeypatch: pytest.MonkeyPatch, *functions: Callable[..., Any]) -> Counter[str]:
    """Counts calls of functions by their names from now on, in all modules of their package."""
    counts: Counter[str] = Counter()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        counts[function.__name__] = 0

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            counts[function.__name__] += 1
            return function(*arguments, **options)

        return call

    for function in functions:
        replacement = counted(function)
        package = function.__module__.partition(".")[0]
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == package and getattr(module, function.__name__, None) is function:
                monkeypatch.setattr(module, function.__name__, replacement)
    return counts
