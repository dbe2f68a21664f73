"""The training configuration: one YAML file, validated field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml
from pydantic import Field, ValidationError, model_validator

from ..errors import InputError
from .section import Section
from .task_config import DATA, TASKS, TaskConfig


class OptimizerConfig(Section):
    """AdamW and its learning rate."""

    name: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit: moments of 8 bits, by bitsandbytes"
    )
    learning_rate: float = Field(1e-5, gt=0, description="peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    max_gradient_norm: float | None = Field(1.0, gt=0, description="gradients are clipped to this norm")
    schedule: Literal["constant", "cosine"] = Field("constant", description="shape after the warm-up")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    decay_steps: int | None = Field(
        None, ge=1, description="cosine only: the last steps, in which the rate falls to 0; all if not given"
    )


class TrainingConfig(Section):
    """Everything a training run depends on."""

    task: TaskConfig = Field(description="what is trained, on which data")
    seed: int = Field(0, ge=0, description="every random draw comes from (seed, step, purpose)")
    steps: int = Field(gt=0, description="optimizer steps")
    gradient_accumulation: int = Field(1, ge=1, description="batches per optimizer step")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of activations (autocast); weights stay fp32. fp16 scales its gradients"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    device: str = Field(
        "auto", description="auto, cpu, cuda, cuda:1 ...; accelerate gives each process its GPU"
    )
    num_workers: int = Field(1, ge=0, description="workers that prepare batches, of each training process")
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float | None = Field(None, gt=0, lt=1, description="exponential moving average of the weights")
    checkpoint_interval: int = Field(1000, ge=1, description="steps between checkpoints")
    checkpoints_kept: int = Field(2, ge=1, description="older checkpoints are removed")
    validation_interval: int = Field(1000, ge=1, description="steps between validations")
    log_interval: int = Field(20, ge=1, description="steps between log lines; values are means over them")

    @model_validator(mode="after")
    def _check_steps(self) -> TrainingConfig:
        if self.optimizer.warmup_steps + (self.optimizer.decay_steps or 0) > self.steps:
            raise ValueError("warmup_steps and decay_steps together exceed steps")
        return self


# These may change when a run goes on: the weights do not depend on them.
FREE_FIELDS = frozenset(
    {
        "device",
        "num_workers",
        "checkpoint_interval",
        "checkpoints_kept",
        "validation_interval",
        "log_interval",
    }
)


def read_config(path: Path) -> TrainingConfig:
    """Read and validate a YAML file.

    Raises:
        InputError: the file is missing, is not YAML, or has an unknown, missing or wrong field; the message
            names each such field and says what is allowed.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(path, f"cannot be read: {reason}", "Give a YAML file as in configs/train") from None
    except yaml.YAMLError as error:
        raise InputError(path, f"is not valid YAML: {error}", "Correct it; see configs/train") from None
    if not isinstance(data, dict):
        raise InputError(path, "is not a mapping of fields", "See configs/train for examples")
    try:
        return TrainingConfig.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_explain(item) for item in error.errors())
        raise InputError(path, problems, "Correct the file; configs/train has complete examples") from None


def _explain(item: Any) -> str:
    """One pydantic error as 'field: what is wrong, what is allowed'."""
    location = list(item["loc"])
    name = ".".join(str(part) for part in location) or "the file"
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown field {name} (allowed: {', '.join(_siblings(location))})"
    if item["type"] == "missing":
        return f"field {name} is missing"
    message = item["msg"].removeprefix("Value error, ")
    return f"field {name}: {message}, not {item['input']!r}" if location else message


def _siblings(location: list[Any]) -> list[str]:
    """Names allowed beside the unknown field at ``location``."""
    section: Any = TrainingConfig
    for part in location[:-1]:
        if isinstance(section, dict):
            section = section[part]
            continue
        choice = {"task": TASKS, "data": DATA}.get(part)
        section = choice or _class_of(get_type_hints(section)[part])
    names = section.model_fields if hasattr(section, "model_fields") else section.__dataclass_fields__
    return sorted(names)


def _class_of(annotation: Any) -> Any:
    """The class in ``Class`` or ``Class | None``."""
    return next(kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))


def differences(old: TrainingConfig, new: TrainingConfig) -> list[str]:
    """Fields whose change would change the weights, as 'field: old value there, new value here'."""
    first, second = _flatten(old.model_dump(mode="json")), _flatten(new.model_dump(mode="json"))
    return [
        f"{key}: {first.get(key)!r} there, {second.get(key)!r} here"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key) and key.split(".")[0] not in FREE_FIELDS
    ]


def _flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat.update(
            _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        )
    return flat
