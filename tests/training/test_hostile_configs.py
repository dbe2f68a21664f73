"""Every number of every configuration has a range; whatever is wrong with a file is told in one line."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import torch
import yaml
from clip_shards import write_puppet_shards
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from tiny_model import write_tiny_model

from megactor_core.animation.memory import weight_bytes
from megactor_core.cli.main import main
from megactor_core.dataset.settings import STEPS
from megactor_core.errors import InputError
from megactor_core.evaluation.clips.request import EvaluationRequest
from megactor_core.models.config import ModelConfig
from megactor_core.training.config.run import TrainingConfig, read_config
from megactor_core.validation import ByKind, explain
from megactor_core.weights import loading

HOSTILE = (
    float("nan"),
    float("inf"),
    -float("inf"),
    -1e30,
    1e300,
    2**70,
    -(2**70),
    "many",
    "",
    [1, 2],
    {},
    None,
)
CHECKED_ELSEWHERE = {"SamplingSettings", "ControlStrength"}
"""They check themselves where they are used: a model decides what it can be sampled with."""


def numbers(kind: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every number in a configuration class: its place, and what bounds it."""
    if issubclass(kind, BaseModel):
        fields = {name: (field.annotation, field.metadata) for name, field in kind.model_fields.items()}
    else:
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.name: (hints[field.name], []) for field in dataclasses.fields(kind)}
    for name, (annotation, bounds) in fields.items():
        yield from _inside(annotation, bounds, f"{path}.{name}" if path else name)


def _inside(annotation: Any, bounds: list[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    if annotation in (int, float):
        yield path, bounds
    elif isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        if annotation.__name__ not in CHECKED_ELSEWHERE:
            yield from numbers(annotation, path)
    elif isinstance(annotation, ByKind):
        for kind in annotation.classes().values():
            yield from numbers(kind, path)
    elif hasattr(annotation, "__metadata__"):
        for item in annotation.__metadata__:
            if isinstance(item, ByKind):
                yield from _inside(item, bounds, path)
        inner = [
            bound
            for item in annotation.__metadata__
            for bound in (item.metadata if isinstance(item, FieldInfo) else [item])
        ]
        yield from _inside(annotation.__origin__, inner, path)
    elif get_origin(annotation) is not None and "Literal" not in str(get_origin(annotation)):
        for part in get_args(annotation):
            yield from _inside(part, bounds, path)


@pytest.mark.parametrize(
    "kind", [TrainingConfig, EvaluationRequest, ModelConfig, *STEPS], ids=lambda kind: kind.__name__
)
def test_every_number_has_a_lower_and_an_upper_bound(kind: Any) -> None:
    found = list(numbers(kind))
    assert found
    for path, bounds in found:
        low = [bound for bound in bounds if hasattr(bound, "ge") or hasattr(bound, "gt")]
        high = [bound for bound in bounds if hasattr(bound, "le") or hasattr(bound, "lt")]
        assert low and high, f"{kind.__name__}: {path} has no range"


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of numbers in plain data."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, (*path, key))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    whole = copy.deepcopy(data)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return whole


def test_hostile_numbers_of_a_training_name_their_field(
    denoiser_data: Any, autoencoder_data: Any, write_yaml: Any
) -> None:
    tried = 0
    for data in (denoiser_data, autoencoder_data):
        complete = TrainingConfig.model_validate(data).model_dump(mode="json")
        for path in leaves(complete):
            if "vae" in path or "image_encoder" in path:
                continue  # arguments of other libraries' networks, which are built to check them
            for value in HOSTILE[:6]:
                with pytest.raises(ValidationError) as caught:
                    TrainingConfig.model_validate(changed(complete, path, value))
                line = explain(caught.value, TrainingConfig)
                assert str(path[-1]) in line and "\n" not in line
                tried += 1
    assert tried > 500


def test_hostile_numbers_of_a_model_are_one_line(tmp_path: Path) -> None:
    """In its config.json: refused when it is read, or when its networks are built without weights."""
    folder = write_tiny_model(tmp_path / "tiny")
    data = json.loads((folder / "config.json").read_text())
    for path in leaves(data):
        for value in HOSTILE[:9] if path[0] not in ("vae", "image_encoder") else HOSTILE:
            (folder / "config.json").write_text(json.dumps(changed(data, path, value)))
            try:
                config = loading.read_config(folder)
                weight_bytes(config, torch.float32)
            except InputError as error:
                assert "\n" not in str(error)


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a mapping"),
        (b"# nothing\n", "is not a mapping"),
        (b"- 1\n- 2\n", "is not a mapping"),
        (b"just text", "is not a mapping"),
        (b"steps: 4\nsteps: 5\n", "steps is given twice"),
        (b"task:\n  name: denoiser\n  data: {size: 32, size: 64}\n", "size is given twice"),
        (b"steps:\t4\n\tseed: 3\n", "is not valid YAML"),
        (b"a: [1, 2\n", "is not valid YAML"),
        (b"a: &a [*a]\n", "stands for more than"),
        (BOMB.encode(), "stands for more than"),
        (b"[" * 5000, "cannot be read"),
        (b"steps: " + b"9" * 5000, "cannot be read"),
        (b"steps: 2024-99-99\n", "cannot be read"),
        (b"steps: \xff\xfe\n", "not a text file"),
        (b"steps: 1\x00\n", "is not valid YAML"),
        (b"steps: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
        (b"? [1, 2]\n: 3\n", "is not valid YAML"),
        (b"1: 2\n", "field"),
        (b"steps: 4\nseeds: 3\ntask: {name: denoiser, initial_weights: x}\n", "did you mean seed"),
        (b"steps: 4\n---\nsteps: 5\n", "is not valid YAML"),
    ],
    ids=lambda value: repr(value[:24]),
)  # fmt: skip
def test_a_file_that_is_no_config_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str
) -> None:
    config = tmp_path / "train.yaml"
    config.write_bytes(content)
    assert main(["train", "--config", str(config), "--output", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: {config}: ") and line.count("\n") == 1 and problem in line
    assert not (tmp_path / "run").exists()


def test_anchors_and_merged_keys_work(denoiser_data: Any, tmp_path: Path) -> None:
    text = yaml.safe_dump({**denoiser_data, "optimizer": {}})
    shared = "&one {learning_rate: 0.001, weight_decay: 0.5}"
    path = tmp_path / "train.yaml"
    path.write_text(text.replace("optimizer: {}", f"optimizer:\n  <<: {shared}\n  weight_decay: 0.1"))
    optimizer = read_config(path).optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.001, 0.1)


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ("device", "cuda:7", "device cuda:7: cannot be used"),
        ("device", "quantum", "device quantum: cannot be used"),
        ("device", "meta", "device meta: cannot be used"),
        ("task.data.frames", 9, "task.data.frames: 9: is a longer window than the model's 8"),
        ("task.trainable", ["denoiser.", "nothing."], "task.trainable: nothing.: is in the name"),
        ("task.modalities", {"draws": [{"share": 1.0}]}, "modalities say what is dropped"),
        ("task.model.denoiser.num_attention_heads", 3, "3 attention heads cannot share 8 channels"),
        ("task.model.denoiser.norm_num_groups", 7, "describes no model that can be built"),
        ("task.model.vae.latent_channels", 0, "latent_channels"),
        ("optimizer.betas", [2, 2], "field optimizer.betas.0: Input should be less than 1, not 2"),
        ("seed", 2**63, "field seed: Input should be less than or equal to 9223372036854775807"),
    ],
)  # fmt: skip
def test_what_no_training_can_do_is_told_before_it_starts(
    denoiser_data: Any,
    write_yaml: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    value: Any,
    line: str,
) -> None:
    data = changed(denoiser_data, ("task", "motion_modules"), True)
    data = changed(data, tuple(place.split(".")), value)
    assert main(["train", "--config", str(write_yaml(data)), "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ("task.data.held_out", 0.99, "held_out: 0.99: leaves none of the 4 identities"),
        (
            "task.validation.frames",
            1000,
            "task.validation.frames: 1000: held-out clips: no clip could be used",
        ),
    ],
)
def test_shards_without_a_clip_for_it_are_told_before_the_start(
    denoiser_data: Any,
    write_yaml: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    value: Any,
    line: str,
) -> None:
    shards = write_puppet_shards(tmp_path / "shards", clips=4, shards=1, frames=12, swapped=False)
    data = {"name": "shards", "shards": str(shards), "size": 32, "frames": 2, "stride": 1}
    task = {**denoiser_data["task"], "data": {**data, "minimum_face_ratio": 0.0}, "auxiliary_weight": 0.0}
    config = changed({**denoiser_data, "task": task}, tuple(place.split(".")), value)
    assert main(["train", "--config", str(write_yaml(config)), "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_mouth_at_rest_is_not_asked_of_real_clips(
    denoiser_data: Any, write_yaml: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = [{"share": 1.0, "show": "eyes", "sound": "silence", "still": True}]
    data = {"name": "shards", "shards": str(tmp_path / "none"), "size": 32, "frames": 2}
    task = {**denoiser_data["task"], "data": data, "modalities": {"draws": draws}, "auxiliary_weight": 0.0}
    task |= {"reference_dropout": 0.0, "driving_dropout": 0.0}
    task["model"] = {
        **task["model"],
        "family": "megactor-sigma",
        "denoiser": {**task["model"]["denoiser"], "audio_dim": 8},
        "audio_encoder": {"kind": "conv", "width": 8, "blocks": 1, "window_positions": True},
    }
    config = write_yaml({**denoiser_data, "task": task})
    assert main(["train", "--config", str(config), "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "still: only puppets can be shown with their mouth at rest" in said and said.count("\n") == 1
