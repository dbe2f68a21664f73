"""What a workflow is described with.

A graph is read from left to right: columns, in them groups and notes from top to bottom, in groups nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any


@dataclass(frozen=True)
class Node:
    """A node of the host or the pack.

    Attributes:
        name: by which links of this graph refer to it.
        type: its id.
        links: input to "name.output", e.g. "load.vae".
        widgets: values that differ from the defaults.
        width: at least, in the graph's pixels.
        preview: height of what the node shows when it has run.
        advanced: whether nodes drawn by Vue show their advanced widgets.
        properties: of the node in the graph.
    """

    name: str
    type: str
    links: dict[str, str] = field(default_factory=dict)
    widgets: dict[str, Any] = field(default_factory=dict)
    width: int = 260
    preview: int = 0
    advanced: bool = False
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """Text in the graph, Markdown."""

    title: str
    text: str
    height: int
    width: int = 340


@dataclass(frozen=True)
class Group:
    """A frame with a title around nodes that stand below each other."""

    title: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Workflow:
    """One template: ``workflows/NAME.json`` and ``workflows/api/NAME.json``.

    Attributes:
        name: shown in the template browser as it is.
    """

    name: str
    columns: tuple[tuple[Group | Note, ...], ...]


def note(title: str, height: int, text: str) -> Note:
    """A note; lines of a paragraph are joined, since the page breaks them itself."""
    paragraphs = dedent(text).strip().split("\n\n")
    return Note(title, "\n\n".join(" ".join(lines.split("\n")) for lines in paragraphs), height)
