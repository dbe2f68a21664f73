"""Tiny models of random weights, one of each family, in the models folder of a running host."""

from __future__ import annotations

from pathlib import Path

from host_client import Workflow, nodes_of

from megactor_core.weights.random_model import FAMILIES, write_random_model

FOLDER = "tiny"


def tiny_name(family: str) -> str:
    """The name by which Load MegActor Model knows the tiny model of a family."""
    return f"{FOLDER}/{family}"


def provide_tiny_models(base: Path) -> None:
    """Write the models, as ``megactor_core weights random`` does, where they are not there yet.

    Args:
        base: folder of the host.
    """
    for family in FAMILIES:
        folder = base / "models" / "megactor" / tiny_name(family)
        if not folder.exists():
            write_random_model(family, folder)


def with_tiny_model(workflow: Workflow, family: str) -> Workflow:
    """The same workflow with the tiny model of a family in its loader."""
    (loader,) = nodes_of(workflow, "MegActorLoadModel")
    inputs = {**workflow[loader]["inputs"], "model": tiny_name(family)}
    return {**workflow, loader: {**workflow[loader], "inputs": inputs}}
