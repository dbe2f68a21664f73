"""Command-line flags of declared options, and the options of what was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

from ..animation.declare import Option, Options
from . import arguments

Group = argparse._ArgumentGroup
AnyOptions = TypeVar("AnyOptions", bound=Options)

_READERS: dict[str, Callable[[str], Any]] = {
    "best frame": arguments.best_frame,
    "crop": arguments.crop_mode,
    "face": arguments.face_choice,
    "frame": arguments.frame_number,
    "frame rate": arguments.frame_rate,
    "keyframes": arguments.keyframes,
    "lora": arguments.lora,
    "path": Path,
    "strength": arguments.strength,
    "text": str,
}
"""How a flag's text is read, by its kind."""


def add_flags(group: Group, *sections: type[Options], **changes: dict[str, Any]) -> None:
    """Add every option of some sections that has a flag.

    Args:
        changes: by option, other arguments of ``add_argument`` where the command wants them.
    """
    for section in sections:
        for option in section.declared():
            if option.flag is not None:
                _add(group, option, **changes.get(option.name, {}))


def add_flag(group: Group, section: type[Options], name: str, **changes: Any) -> None:
    """Add one option; ``changes`` as of ``add_flags``."""
    _add(group, section.option(name), **changes)


def given_options(args: argparse.Namespace, section: type[AnyOptions]) -> AnyOptions:
    """A section with what was given; what the command has no flag for is as if it was not given."""
    return section(**{name: getattr(args, name) for name in section.model_fields if hasattr(args, name)})


def flag_name(name: str) -> str:
    """The flag of an option of this name that has no other."""
    return f"--{name.replace('_', '-')}"


def _add(group: Group, option: Option, **changes: Any) -> None:
    flag = option.flag
    assert flag is not None
    name = flag.name or flag_name(option.name)
    settings: dict[str, Any] = {"dest": option.name, "help": _help(option), "default": option.default}
    kind = _kind(option)
    if kind is bool and option.default is None:
        settings["action"] = _Opposite if flag.negated else argparse.BooleanOptionalAction
    elif kind is bool:
        settings["action"] = "store_false" if flag.negated else "store_true"
    else:
        settings |= {"metavar": flag.metavar, "type": _reader(option, kind), "required": flag.required}
        if get_origin(kind) is Literal and not flag.kind:
            settings["choices"] = get_args(kind)
        if flag.several:
            settings["nargs"] = "+"
        elif get_origin(kind) is tuple and flag.kind == "lora":
            settings |= {"action": "append", "default": []}
    group.add_argument(name, **settings | changes)


class _Opposite(argparse.BooleanOptionalAction):
    """``--name`` for False, ``--no-name`` for True."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, bool(option_string and option_string.startswith("--no-")))


def _kind(option: Option) -> Any:
    """The type of a value that is given."""
    parts = [part for part in get_args(option.field.annotation) if part is not NoneType]
    return parts[0] if NoneType in get_args(option.field.annotation) else option.field.annotation


def _reader(option: Option, kind: Any) -> Callable[[str], Any] | None:
    assert option.flag is not None
    if option.flag.kind:
        return _READERS[option.flag.kind]
    lowest, highest = option.bound("ge"), option.bound("le")
    if kind is int:
        assert lowest is not None and highest is not None
        return arguments.whole_number(int(lowest), int(highest))
    if kind is float and option.bound("lt") is not None:
        return arguments.fraction_below_one
    if kind is float:
        assert lowest is not None and highest is not None
        return arguments.number(lowest, highest)
    return None


def _help(option: Option) -> str:
    assert option.flag is not None
    text = option.flag.help.format(models=option.models)
    default = option.default
    silent = default is None or default == () or isinstance(default, bool)
    if silent or not option.flag.shows_default or "(default" in text:
        return text
    return f"{text} (default: {f'{default:g}' if isinstance(default, float) else default})"
