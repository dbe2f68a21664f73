"""Family of a node's linked model, while the host validates the prompt and nothing is loaded yet."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from server import PromptServer

if TYPE_CHECKING:
    from ...megactor_core.models.config import ModelConfig

Inputs = Mapping[str, Any]
"""Of a node in a prompt: values of widgets, and ``[node id, output]`` of links."""

# The host validates a prompt in the task that has just announced it.
_PROMPT: ContextVar[Mapping[str, Any]] = ContextVar("megactor_prompt", default={})  # noqa: B039


def watch_prompts() -> None:
    """Let ``inputs_of`` see every prompt that the host is about to validate."""
    PromptServer.instance.add_on_prompt_handler(_remember)


def _remember(request: dict[str, Any]) -> dict[str, Any]:
    _PROMPT.set(request.get("prompt") or {})
    return request


def inputs_of(node_id: str) -> Inputs:
    """Inputs of a node of the prompt; none where it is not known."""
    node = _PROMPT.get().get(node_id)
    return node.get("inputs", {}) if isinstance(node, Mapping) else {}


def linked_inputs(inputs: Inputs, name: str, class_type: str) -> Inputs | None:
    """Inputs of the node that is linked to an input; None where that is not one of this class."""
    link = inputs.get(name)
    if not isinstance(link, list) or len(link) != 2:
        return None
    node = _PROMPT.get().get(str(link[0]))
    if not isinstance(node, Mapping) or node.get("class_type") != class_type:
        return None
    return node.get("inputs", {})


def linked_config(inputs: Inputs) -> ModelConfig | None:
    """Configuration of the model that is linked to a node.

    Returns:
        None where it cannot be told without loading: the model's name comes from another node, stands for a
        checkpoint that has not been converted, or for nothing.
    """
    from .model_files import config_of

    # The host also validates nodes whose links lead back to themselves; no chain is longer than the prompt.
    for _ in _PROMPT.get():
        loader = linked_inputs(inputs, "model", "MegActorLoadModel")
        if loader is not None:
            name = loader.get("model")
            return config_of(name) if isinstance(name, str) else None
        inputs = linked_inputs(inputs, "model", "MegActorLoadLora") or {}
    return None
