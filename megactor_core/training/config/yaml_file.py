"""A YAML file as plain data, each key given once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import InputError

_MOST_NODES = 10_000
"""Values in a file, those that aliases repeat counted each time: a few lines can stand for billions."""


class _Loader(yaml.SafeLoader):
    """YAML's plain types; a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        mapping = super().construct_mapping(node, deep)
        seen: set[Any] = set()
        for key in keys:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name} is given twice", key.start_mark)
            seen.add(name)
        return mapping


def read_yaml(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: the file is missing, is no text in UTF-8, is not YAML, repeats a key, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(path, f"cannot be read: {reason}", "Give a YAML file as in configs/train") from None
    data = _parsed(text, path, "Correct it; see configs/train")
    if not isinstance(data, dict):
        raise InputError(path, "is not a mapping of fields", "See configs/train for examples")
    return data


def set_fields(data: dict[Any, Any], settings: Sequence[str]) -> None:
    """Put values into the mapping of a config, in place.

    Args:
        data: from ``read_yaml``.
        settings: ``FIELD=VALUE`` each, the field with dots between its parts, the value in YAML.

    Raises:
        InputError: no valid YAML, or a part of the field's name is no mapping.
    """
    for setting in settings:
        subject, (field, _, text) = f"--set {setting}", setting.partition("=")
        *parents, name = field.split(".")
        place: Any = data
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(subject, f"{parent} is no mapping in the file", "Check the field's name")
        place[name] = _parsed(text, subject, "Write the value as in a YAML file")


def _parsed(text: str, subject: object, remedy: str) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if _is_large(node):
            raise InputError(subject, f"stands for more than {_MOST_NODES} values", remedy)
        return None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(subject, f"is not valid YAML: {error}", remedy) from None
    except (ValueError, RecursionError) as error:
        # Numbers and dates that Python cannot hold, and lists in lists in lists.
        raise InputError(subject, f"holds what cannot be read ({error})", remedy) from None


def _is_large(root: yaml.Node | None) -> bool:
    waiting, count = [] if root is None else [root], 0
    while waiting and count <= _MOST_NODES:
        node = waiting.pop()
        count += 1
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
    return count > _MOST_NODES
