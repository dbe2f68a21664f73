"""Every field of a training configuration, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ...section import Section
from .run import TrainingConfig

_CONFIG = "see `megactor_core/models/config.py`"
_KINDS = ("name", "objective")
"""Fields that tell one section from others in its place."""
_HEAD = "| field | allowed | default | |\n|---|---|---|---|\n"


def field_reference() -> str:
    """Markdown: a table for each part of the configuration, with a row for each field."""
    return "\n".join(_tables("", TrainingConfig))


def _tables(path: str, section: type[Section]) -> Iterator[str]:
    fields = section.model_fields
    title = f"`{path}`" if path else "The file"
    kinds = [key for key in _KINDS if key in fields and len(get_args(fields[key].annotation)) == 1]
    for key in kinds:
        title += f" with `{key}: {get_args(fields[key].annotation)[0]}`"
    summary = (section.__doc__ or "").strip().splitlines()[0]
    yield f"#### {title}\n\n{summary}\n\n{_HEAD}" + "".join(
        _row(key, field) for key, field in fields.items() if key not in kinds
    )
    for key, field in fields.items():
        for inner in _sections(field.annotation):
            yield from _tables(f"{path}.{key}" if path else key, inner)


def _row(key: str, field: FieldInfo) -> str:
    return f"| `{key}` | {_allowed(field)} | {_default(field)} | {field.description or ''} |\n"


def _allowed(field: FieldInfo) -> str:
    """Type and bounds."""
    bounds = [
        f"{sign} {getattr(item, attribute)}"
        for item in field.metadata
        for attribute, sign in (
            ("ge", "≥"),
            ("gt", ">"),
            ("le", "≤"),
            ("lt", "<"),
            ("multiple_of", "multiple of"),
        )
        if hasattr(item, attribute)
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    if annotation is type(None):
        return "null"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if _sections(annotation):
        return "see below"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (tuple, dict):
        return "list" if origin is tuple else "mapping"
    if inner:
        return " or ".join(_type(kind) for kind in inner)
    names = {
        "Path": "path",
        "str": "text",
        "ModelConfig": _CONFIG,
        "SchedulerConfig": _CONFIG,
        "ConvAudioEncoderConfig": "see `megactor_core/models/encoder_config.py`",
    }
    return names.get(annotation.__name__, annotation.__name__)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, Section) or is_dataclass(field.default):
        return ""
    if isinstance(field.default, tuple):
        return f"`[{', '.join(str(value) for value in field.default)}]`"
    return "`null`" if field.default is None else f"`{str(field.default).lower()}`"


def _sections(annotation: Any) -> list[type[Section]]:
    """Parts of the configuration that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    kinds = get_args(annotation) if get_origin(annotation) is not Literal else ()
    return [section for kind in kinds for section in _sections(kind)]
