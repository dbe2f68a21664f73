"""How a run goes on: from which checkpoint, with what changed on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..config.run import CHANGEABLE_FIELDS, TrainingConfig, differences


@dataclass(frozen=True)
class Resume:
    """How a run goes on.

    Attributes:
        changes: fields of the config that may differ from the checkpoint's, as ``optimizer.learning_rate``.
        restarts_optimizer: begin with fresh moments and warm the learning rate up anew.
        step: of the checkpoint; None takes the last.

    Raises:
        InputError: a field that no run may change.
    """

    changes: tuple[str, ...] = ()
    restarts_optimizer: bool = False
    step: int | None = None

    def __post_init__(self) -> None:
        for field in self.changes:
            if field not in CHANGEABLE_FIELDS:
                remedy = f"Use {', '.join(sorted(CHANGEABLE_FIELDS))}"
                raise InputError(f"--change {field}", "is not to be changed in a run", remedy)

    def told(self, saved: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
        """Lines about what is other than in a checkpoint."""
        lines = [*_differences(saved, own).values()]
        return [*lines, "the optimizer begins anew"] if self.restarts_optimizer else lines

    def check(self, path: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """Refuse the checkpoint at ``path`` of another run.

        Args:
            path: of the checkpoint.
            saved, own: identities, see ``state.run_identity``.

        Raises:
            InputError: of another family, config or start.
        """
        remedy = "Give another --output, or what the run was started with"
        if saved["family"] != own["family"]:
            raise InputError(path, f"is a checkpoint of {saved['family']}, not of {own['family']}", remedy)
        changed = {
            field: text
            for field, text in _differences(saved, own).items()
            if not any(f"{field}.".startswith(f"{allowed}.") for allowed in self.changes)
        }
        if changed:
            fields = sorted({".".join(field.split(".")[:2]) for field in changed})
            if CHANGEABLE_FIELDS.issuperset(fields):
                remedy += f"; or change it on purpose: --change {' '.join(fields)}"
            raise InputError(path, f"is of a run with another config ({'; '.join(changed.values())})", remedy)
        if saved["fixed_weights"] != own["fixed_weights"]:
            raise InputError(path, "is of a run whose other, untrained weights differ from these", remedy)


def _differences(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str]:
    return differences(*(TrainingConfig.model_validate(run["config"]) for run in (saved, own)))
