"""A mistake in the YAML file is named, with what is allowed, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.training.config.reference import field_reference
from megactor_core.training.config.run import read_config

SHARDS = {"name": "shards", "shards": "data/shards"}
CONFIGS = Path(__file__).parents[2] / "configs" / "train"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path):
    assert read_config(path).steps > 0


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ((), r"unknown field learning_speed \(allowed: .*optimizer, .*steps"),
        (("optimizer",), r"unknown field optimizer.learning_speed \(allowed: .*learning_rate"),
        (("task",), r"unknown field task.denoiser.learning_speed \(allowed: .*offset_noise"),
        (
            ("task", "data"),
            r"unknown field task.denoiser.data.puppets.learning_speed \(allowed: .*references",
        ),
        (
            ("task", "model"),
            r"unknown field task.denoiser.model.learning_speed \(allowed: .*reference_network",
        ),
        (("task", "model", "denoiser"), r"learning_speed \(allowed: .*block_out_channels"),
    ],
)
def test_an_unknown_field_is_named_with_the_allowed_ones(denoiser_data, write_yaml, section, expected):
    target = denoiser_data
    for key in section:
        target[key] = dict(target[key])
        target = target[key]
    target["learning_speed"] = 1
    with pytest.raises(InputError, match=expected):
        read_config(write_yaml(denoiser_data))


def test_values_may_be_given_instead_of_the_files(denoiser_data, write_yaml):
    path = write_yaml(denoiser_data)
    given = ("steps=7", "task.data.references=6", "optimizer.betas=[0.8, 0.9]", "task.validation={clips: 2}")
    config = read_config(path, given)
    assert config.steps == 7 and config.optimizer.betas == (0.8, 0.9)
    assert config.task.data.references == 6 and config.task.data.frames == 2
    assert config.task.validation.clips == 2 and config.task.validation.num_inference_steps == 10
    assert read_config(path) == read_config(path, ("seed=3",))


@pytest.mark.parametrize("setting", ["steps", "=3"])
def test_what_sets_no_field_is_refused_before_the_file_is_read(setting, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--config", "c.yaml", "--output", "run", "--set", setting])
    assert "is not of the form FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("steps=[", r"--set steps=\[: is not valid YAML"),
        ("steps.more=3", "--set steps.more=3: steps is no mapping"),
        (
            "task.data.reference=3",
            "unknown field task.denoiser.data.puppets.reference .*did you mean references",
        ),
        ("steps=few", "field steps: .*integer"),
    ],
)
def test_values_that_cannot_be_set_are_named(denoiser_data, write_yaml, setting, expected):
    with pytest.raises(InputError, match=expected):
        read_config(write_yaml(denoiser_data), [setting])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": "many"}, "field steps: .*integer.*not 'many'"),
        ({"steps": 0}, "field steps: .*greater than 0"),
        ({"precision": "fp8"}, "field precision: .*'fp32', 'bf16' or 'fp16'"),
        ({"task": {"name": "sculptor"}}, "field task: .*'autoencoder', 'denoiser'"),
        ({"task": {"name": "denoiser"}}, "give model or initial_weights"),
        ({"task": {"name": "denoiser", "model": {}, "own_start": True}}, "own_start needs a start_share"),
        ({"optimizer": {"warmup_steps": 9}}, "exceed steps"),
        ({"task": {"name": "denoiser", "model": {}, "lora": {}}}, "lora goes with initial_weights"),
        ({"task": {"name": "denoiser", "model": {}, "data": {"name": "videos"}}}, "'puppets', 'shards'"),
        (
            {
                "task": {
                    "name": "denoiser",
                    "model": {},
                    "auxiliary_weight": 2,
                    "data": {"name": "shards", "shards": "a"},
                }
            },
            "auxiliary_weight is for puppets alone",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(denoiser_data, write_yaml, changes, expected):
    with pytest.raises(InputError, match=expected):
        read_config(write_yaml({**denoiser_data, **changes}))


def test_a_missing_field_is_named(denoiser_data, write_yaml):
    del denoiser_data["steps"]
    with pytest.raises(InputError, match="field steps is missing"):
        read_config(write_yaml(denoiser_data))


@pytest.mark.parametrize("content", [b"", b"steps: [", b"\xff\xfe\x00", b"- 1\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "train.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train\.yaml"):
        read_config(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "none.yaml")


def test_the_documentation_has_every_field_as_it_is():
    text = (CONFIGS.parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    assert field_reference().strip() in text, "run: python -m megactor_core train --describe"
