"""The training configuration: one YAML file, validated field by field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ... import limits
from ...errors import InputError
from ...section import Section
from ...validation import explain
from .tasks import DenoiserTaskConfig, TaskConfig
from .yaml_file import read_yaml, set_fields

Beta = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, le=1000)]


class OptimizerConfig(Section):
    """AdamW and its learning rate."""

    name: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit: moments of 8 bits, by bitsandbytes"
    )
    learning_rate: float = Field(1e-5, gt=0, le=10, description="peak learning rate")
    group_rates: dict[str, Factor] = Field(
        {},
        description="part of a name: factor; trained parameters (network.parameter) whose name contains the "
        "part learn at that multiple of the rate; of several parts the first in order counts",
    )
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the two moments, each below 1")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled weight decay")
    epsilon: float = Field(1e-8, gt=0, le=1, description="added to the root of the second moment")
    max_gradient_norm: float | None = Field(
        1.0, gt=0, le=1e9, description="gradients are clipped to this norm"
    )
    schedule: Literal["constant", "cosine"] = Field("constant", description="shape after the warm-up")
    warmup_steps: int = Field(0, ge=0, le=limits.COUNT, description="steps of linear warm-up")
    decay_steps: int | None = Field(
        None,
        ge=1,
        le=limits.COUNT,
        description="cosine only: the last steps, in which the rate falls to 0; all if not given",
    )


class SampleConfig(Section):
    """An animation that shows how far the training is, of any portrait and driver."""

    name: str = Field(
        pattern=r"^[\w-]{1,64}$", description="of its files: letters, digits, underscores and hyphens"
    )
    reference: Path = Field(description="picture of the portrait")
    driving: Path | None = Field(None, description="driving video or picture")
    audio: Path | None = Field(None, description="file with speech, for models that hear it")
    options: dict[str, Any] = Field(
        {}, description="more options of animate, with underscores: crop: whole, stop: 50, guidance_scale: 2"
    )


class TrainingConfig(Section):
    """Configuration of a training run."""

    task: TaskConfig = Field(description="what is trained, on which data")
    seed: int = Field(
        0, ge=0, le=limits.SEED, description="every random draw comes from (seed, step, purpose)"
    )
    steps: int = Field(gt=0, le=limits.COUNT, description="optimizer steps")
    gradient_accumulation: int = Field(1, ge=1, le=100_000, description="batches per optimizer step")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of activations (autocast); weights stay fp32. fp16 scales its gradients"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    compile: bool = Field(
        False, description="compile residual and feed-forward blocks by torch.compile; needs a compiler"
    )
    device: str = Field(
        "auto", description="auto, cpu, cuda, cuda:1 ...; accelerate gives each process its GPU"
    )
    num_workers: int = Field(
        1, ge=0, le=1024, description="workers that prepare batches, of each training process"
    )
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float | None = Field(None, gt=0, lt=1, description="exponential moving average of the weights")
    checkpoint_interval: int = Field(1000, ge=1, le=limits.COUNT, description="steps between checkpoints")
    checkpoint_minutes: float | None = Field(
        None, gt=0, le=1e6, description="a checkpoint also so many minutes after the last one"
    )
    checkpoints_kept: int = Field(2, ge=1, le=limits.COUNT, description="older checkpoints are removed")
    validation_interval: int = Field(1000, ge=1, le=limits.COUNT, description="steps between validations")
    validation_at_start: bool = Field(
        False,
        description="validate, and make the samples, before the first step too; the held-out loss always is",
    )
    samples: tuple[SampleConfig, ...] = Field((), description="animations made at every validation")
    log_interval: int = Field(
        20, ge=1, le=limits.COUNT, description="steps between log lines; values are means over them"
    )

    @model_validator(mode="after")
    def _check_steps(self) -> TrainingConfig:
        if self.optimizer.warmup_steps + (self.optimizer.decay_steps or 0) > self.steps:
            raise ValueError("warmup_steps and decay_steps together exceed steps")
        return self

    @model_validator(mode="after")
    def _check_base(self) -> TrainingConfig:
        lora = self.task.lora if isinstance(self.task, DenoiserTaskConfig) else None
        if lora is not None and lora.base_precision == "bf16" and self.precision != "bf16":
            raise ValueError("task.lora.base_precision: bf16 goes with precision: bf16")
        return self

    @model_validator(mode="after")
    def _check_samples(self) -> TrainingConfig:
        if self.samples and not isinstance(self.task, DenoiserTaskConfig):
            raise ValueError("samples are animations, which only a denoiser makes")
        if len({sample.name for sample in self.samples}) < len(self.samples):
            raise ValueError("several samples have the same name")
        return self


# These may change when a run goes on: the weights do not depend on them.
FREE_FIELDS = frozenset(
    {
        "device",
        "compile",
        "num_workers",
        "checkpoint_interval",
        "checkpoint_minutes",
        "checkpoints_kept",
        "validation_interval",
        "validation_at_start",
        "samples",
        "log_interval",
    }
)

CHANGEABLE_FIELDS = frozenset(
    {
        "steps",
        *(f"optimizer.{name}" for name in OptimizerConfig.model_fields if name != "name"),
    }
)
"""These may change on purpose when a run goes on: the weights, and what is known of them, stay of use."""


def read_config(path: Path, settings: Sequence[str] = ()) -> TrainingConfig:
    """Read and validate a YAML file.

    Args:
        path: of the file.
        settings: values instead of the file's, see ``yaml_file.set_fields``.

    Raises:
        InputError: the file is missing, is not YAML, or has an unknown, repeated, missing or wrong field; the
            message names each such field and says what is allowed.
    """
    data = read_yaml(path)
    set_fields(data, settings)
    try:
        return TrainingConfig.model_validate(data)
    except ValidationError as error:
        problems = explain(error, TrainingConfig)
        raise InputError(path, problems, "Correct the file; configs/train has complete examples") from None


def differences(old: TrainingConfig, new: TrainingConfig) -> dict[str, str]:
    """Fields whose change would change the weights, with a text: 'field: old value there, new value here'."""
    first, second = (
        # The order of the groups counts, which mappings that are compared do not tell.
        _flatten(run.model_dump(mode="json")) | {"optimizer.group_rates": list(run.optimizer.group_rates)}
        for run in (old, new)
    )
    return {
        key: f"{key}: {first.get(key)!r} there, {second.get(key)!r} here"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key) and key.split(".")[0] not in FREE_FIELDS
    }


def _flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat.update(
            _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        )
    return flat
