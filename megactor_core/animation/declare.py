"""How an option is declared: its place on the command line and on nodes, beside its type and range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ..errors import InputError
from ..families.features import Feature
from ..families.registry import FAMILIES, families_with, labels_of
from ..section import Section

Node = Literal["Animate Portrait", "Sample MegActor Clip", "Apply MegActor"]
"""Nodes that show options which came later than their first release."""


@dataclass(frozen=True)
class Flag:
    """An option on the command line.

    Attributes:
        help: what it is; ``{models}`` is the names of the models that it is of.
        metavar: what stands for the value.
        name: where it is not the option's own with hyphens.
        kind: how the text is read, see ``cli.flags``; by the option's type without one.
        required, several: whether it must be given; whether it takes several values.
        shows_default: whether the help tells the default where it is a value and the text does not.
        negated: the flag says the opposite of the option.
    """

    help: str
    metavar: str | None = None
    name: str = ""
    kind: str = ""
    required: bool = False
    several: bool = False
    shows_default: bool = True
    negated: bool = False


@dataclass(frozen=True)
class Widget:
    """An option on a node.

    Attributes:
        tooltip: what it is; ``{models}`` as of ``Flag``, ``{of}`` is what the node says of it, ``{subject}``
            the attribute.
        name: where it is not the option's own. Saved workflows name it: it may never change.
        min, max: where they are not the option's own.
        step, round: of numbers, as the host has them.
        default: where it is not the option's own.
        choices: where they are not all of the option's.
        words: values that stand for a word of the option, ``None`` for what the model was made with.
        advanced: whether it is rarely needed.
        subject: what it acts on, for tooltips of widgets that go with it.
        added: number of the release that brought it to the nodes of ``on``, where it stands behind all that
            were there before: values of saved workflows are known by their place.
        on: nodes that got it later.
    """

    tooltip: str
    name: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    round: float | None = None
    default: Any = None
    choices: tuple[str, ...] = ()
    words: Mapping[Any, Any] = field(default_factory=lambda: MappingProxyType({}))
    advanced: bool = False
    subject: str = ""
    added: int = 0
    on: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Of:
    """The models that an option is of, by a feature that they have; texts name them."""

    feature: Feature


@dataclass(frozen=True)
class ModelNames:
    """Labels of the families that an option is of, of all of them without a feature.

    As part of a text, ``{models}`` has commas between them; ``{models:reversed}`` begins with the last, and
    ``{models:and}`` has "and" between them.
    """

    feature: Feature | None

    def __format__(self, wishes: str) -> str:
        families = FAMILIES.values() if self.feature is None else families_with(self.feature)
        labels = labels_of(families)
        if "reversed" in wishes:
            labels.reverse()
        return (" and " if "and" in wishes else ", ").join(labels)


@dataclass(frozen=True)
class Option:
    """A declared option.

    Attributes:
        name: of the field, and of the Python keyword.
        field: its type, default and range.
        flag, widget: see there; None where there is none.
        models: what texts call the models that it is of.
    """

    name: str
    field: FieldInfo
    flag: Flag | None
    widget: Widget | None
    models: ModelNames

    @property
    def default(self) -> Any:
        """Its value where nothing is said."""
        return self.field.get_default(call_default_factory=True)

    def bound(self, name: Literal["ge", "le", "lt"]) -> float | None:
        """One end of its range; None without any."""
        ends = (getattr(one, name) for one in self.field.metadata if hasattr(one, name))
        return next(ends, None)


class Options(Section):
    """A section of options."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @classmethod
    def declared(cls) -> Iterator[Option]:
        """Its options in their order."""
        return (cls.option(name) for name in cls.model_fields)

    @classmethod
    def option(cls, name: str) -> Option:
        """One of its options."""
        info = cls.model_fields[name]
        parts = {type(part): part for part in info.metadata}
        of = parts.get(Of)
        models = ModelNames(None if of is None else of.feature)
        return Option(name, info, parts.get(Flag), parts.get(Widget), models)


AnyOptions = TypeVar("AnyOptions", bound=Options)


def checked_section(kind: type[AnyOptions], **values: Any) -> AnyOptions:
    """A section of given values.

    Raises:
        InputError: a value out of its option's range, or of another type.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", " ")
        raise InputError(f"{name} {first['input']}", first["msg"], "Choose another value") from error
