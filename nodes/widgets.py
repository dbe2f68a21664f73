"""Inputs of nodes made of declared options, and the options of what the widgets say."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from comfy_api.latest import io

from ..megactor_core.animation.declare import Node, Option, Options, Widget, checked_section

AnyOptions = TypeVar("AnyOptions", bound=Options)


def widget(section: type[Options], name: str, of: str = "", **changes: Any) -> io.Input:
    """The widget of an option.

    Args:
        section, name: where it is declared.
        of: what the node says of it, for tooltips that differ from node to node.
        changes: arguments of the host's input that the node wants otherwise.
    """
    option = section.option(name)
    shown = option.widget
    assert shown is not None
    arguments: dict[str, Any] = {"default": _default(option, shown), "tooltip": tooltip(section, name, of)}
    if shown.advanced:
        arguments["advanced"] = True
    kind: type[io.Input]
    types = _types(option.field.annotation)
    choices = shown.choices or tuple(
        word for one in types if get_origin(one) is Literal for word in get_args(one)
    )
    if bool in types:
        kind = io.Boolean.Input
    elif choices and int not in types:
        kind, arguments["options"] = io.Combo.Input, list(choices)
    else:
        number: type[int] | type[float] = int if int in types else float
        kind = io.Int.Input if number is int else io.Float.Input
        bounds = (("min", shown.min, option.bound("ge")), ("max", shown.max, option.bound("le")))
        for end, own, declared in bounds:
            bound = declared if own is None else own
            assert bound is not None
            arguments[end] = number(bound)
        arguments |= {
            key: getattr(shown, key) for key in ("step", "round") if getattr(shown, key) is not None
        }
    return kind(**{"id": shown.name or name} | arguments | changes)


def widgets(section: type[Options], *names: str) -> list[io.Input]:
    """The widgets of some options, in this order."""
    return [widget(section, name) for name in names]


def later_widgets(node: Node, *sections: type[Options]) -> list[io.Input]:
    """Widgets that came to a node after its first release, for the end of its inputs, oldest first.

    Prompts from before do not have them, so that all are optional.
    """
    options = [
        (option.widget.added, section, option.name)
        for section in sections
        for option in section.declared()
        if option.widget is not None and node in option.widget.on
    ]
    options.sort(key=lambda one: one[0])
    return [widget(section, name, optional=True) for _, section, name in options]


def tooltip(section: type[Options], name: str, of: str = "") -> str:
    """Tooltip of an option; ``of`` as of ``widget``."""
    option = section.option(name)
    assert option.widget is not None
    return option.widget.tooltip.format(models=option.models, subject=option.widget.subject, of=of)


def take_options(section: type[AnyOptions], values: dict[str, Any]) -> AnyOptions:
    """Options of a section from its widgets, which are taken out of ``values``.

    Raises:
        InputError: a value out of its option's range.
    """
    given = {}
    for option in section.declared():
        if option.widget is not None and (name := option.widget.name or option.name) in values:
            value = values.pop(name)
            given[option.name] = option.widget.words.get(value, value)
    return checked_section(section, **given)


def _default(option: Option, shown: Widget) -> Any:
    """The option's default as the widget has it."""
    if shown.default is not None:
        return shown.default
    value = option.default
    meant = [word for word, stands_for in shown.words.items() if stands_for == value]
    return meant[0] if meant else value if isinstance(value, str | bool | int) else float(value)


def _types(annotation: Any) -> tuple[Any, ...]:
    """The types of a value, without their ranges."""
    types = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return tuple(get_args(one)[0] if get_origin(one) is Annotated else one for one in types)
