"""Data from a file against its configuration class: what is wrong with it, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class ByKind:
    """Annotation of a field whose class is said by ``kind`` in its data.

    Attributes:
        classes: gives the dataclasses by kind; the first is that of data without one.
    """

    classes: Callable[[], Mapping[str, type]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, data: Any) -> Any:
        """An instance of the class that the data ask for.

        Raises:
            ValueError: an unknown kind, or what pydantic has to say.
        """
        classes = self.classes()
        kind = next(iter(classes))
        if isinstance(data, Mapping):
            kind = data.get("kind", kind)
            data = {name: value for name, value in data.items() if name != "kind"}
        elif isinstance(data, tuple(classes.values())):
            return data
        if kind not in classes:
            raise ValueError(f"kind {kind!r} is not known (allowed: {', '.join(classes)})")
        return TypeAdapter(classes[kind]).validate_python(data)


def explain(error: ValidationError, kind: type) -> str:
    """Every wrong field as 'field: what is wrong, what is allowed', joined to a line.

    Args:
        error: of ``kind``.
        kind: the pydantic model or dataclass that the data should have been.
    """
    return "; ".join(_explain(item, kind) for item in error.errors())


def _explain(item: Any, kind: type) -> str:
    location = list(item["loc"])
    name = ".".join(str(part) for part in location) or "the file"
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        allowed = _siblings(location, kind)
        meant = "".join(
            f"; did you mean {near}?" for near in get_close_matches(str(location[-1]), allowed, 1)
        )
        return f"unknown field {name} (allowed: {', '.join(allowed)}{meant})"
    if item["type"] == "missing":
        return f"field {name} is missing"
    message = item["msg"].removeprefix("Value error, ")
    return f"field {name}: {message}{_shown(item['input'])}" if location else message


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float) else type(value).__name__
    return f", not {text}" if len(text) <= 80 else f", not {text[:77]}..."


def _siblings(location: Sequence[Any], kind: type) -> list[str]:
    """Names allowed beside the unknown field at ``location``."""
    kinds = [kind]
    for part in location[:-1]:
        fields = [_fields(one)[part] for one in kinds if part in _fields(one)]
        # Where a part can be of several classes, pydantic puts the name of the one in question after it.
        kinds = [inner for field in fields for inner in _classes(field)] or [
            one for one in kinds if getattr(one, "model_fields", {})["name"].default == part
        ]
    return sorted({name for one in kinds for name in _fields(one)})


def _fields(kind: type) -> dict[str, Any]:
    """Types of the fields of a class, by name."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return {
        name: hint
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if name in getattr(kind, "__dataclass_fields__", {})
    }


def _classes(annotation: Any) -> list[type]:
    """The configuration classes in ``Class | None`` and the like."""
    if isinstance(annotation, ByKind):
        return list(annotation.classes().values())
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [kind for inner in get_args(annotation) for kind in _classes(inner)]
