"""A family in one file is downloaded, recognised, converted, loaded, listed, animated and trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import tiny_networks, write_driver, write_portrait

from megactor_core.animation.checks import check_fixed_patches
from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.families.family import Family
from megactor_core.families.features import encodes_driver
from megactor_core.families.registry import FAMILIES, default_family, labels_with, register
from megactor_core.media.reading import open_driving
from megactor_core.models.networks import Networks
from megactor_core.training.config.run import TrainingConfig
from megactor_core.training.distributed import ProcessGroup
from megactor_core.training.engine.trainer import Trainer
from megactor_core.training.tasks.registry import build_task
from megactor_core.weights.loading import load_model


@pytest.fixture(scope="module")
def networks(made_up: Family) -> Networks:
    return tiny_networks(made_up.config)


@pytest.fixture(scope="module")
def models(made_up: Family, networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with its published files."""
    models = tmp_path_factory.mktemp("models")
    prefix = {network: prefix for prefix, network in made_up.layout.parts.items()}
    state = {
        f"net.{prefix[name]}{key}": tensor.contiguous()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    state["net.teacher.weight"] = torch.ones(1)
    (models / made_up.folder).mkdir(parents=True)
    save_file(state, models / made_up.folder / "made-up.safetensors")
    return models


@pytest.fixture(autouse=True)
def models_folder(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEGACTOR_MODELS", str(models))


@pytest.fixture(scope="module")
def folder(made_up: Family, models: Path) -> Path:
    """The model folder that its checkpoint was converted to."""
    command = ["weights", "convert", "made-up", "--dtype", "float32", "--models-folder", str(models)]
    assert main(command) == 0
    return models / "made-up"


def test_its_checkpoint_becomes_a_model_of_that_name(
    made_up: Family, networks: Networks, folder: Path
) -> None:
    model = load_model("made-up")

    assert model.config == made_up.config and model.source == folder
    for (name, loaded), (_, own) in zip(model.networks.items(), networks.items(), strict=True):
        for key, tensor in own.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], tensor), f"{name} {key}"


def test_its_files_are_listed_and_told_where_they_are_missing(
    made_up: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "list"]) == 0
    assert "https://huggingface.co/nobody/made-up/resolve/main/made-up.safetensors" in capsys.readouterr().out
    (tmp_path / "official" / "made-up").mkdir(parents=True)
    assert main(["weights", "convert", str(tmp_path / "official" / "made-up")]) == 2
    assert "weights download made-up" in capsys.readouterr().err


def test_it_animates_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    portrait, driver = write_portrait(tmp_path / "me.png"), write_driver(tmp_path / "driver.mp4", 9)
    output = tmp_path / "result.mp4"
    command = ["animate", "--model", "made-up", "--crop", "whole", "--device", "cpu"]

    assert (
        main([*command, *map(str, ("--reference", portrait, "--driving", driver, "--output", output))]) == 0
    )

    assert open_driving(output).num_frames == 9


def test_it_trains_a_step(folder: Path, tmp_path: Path) -> None:
    task = {
        "name": "denoiser",
        "initial_weights": str(folder),
        "data": {"size": 64, "references": 1, "frames": 2},
        "validation": {"clips": 1, "frames": 2, "num_inference_steps": 1},
    }
    config = TrainingConfig.model_validate(
        {"task": task, "steps": 1, "num_workers": 0, "optimizer": {"learning_rate": 0.01}}
    )
    trained = build_task(config, tmp_path / "run")
    before = [weights.detach().clone() for weights in trained.networks["denoiser"].parameters()]

    assert Trainer(config, trained, tmp_path / "run", ProcessGroup()).run()

    after = trained.networks["denoiser"].parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert load_model(tmp_path / "run" / "model").config.family == "made-up"


def test_messages_name_it_for_what_it_has(made_up: Family) -> None:
    assert labels_with(encodes_driver) == "MegActor, MegActor-Sigma and Made-Up"
    with pytest.raises(InputError, match="Leave it off, or use a MegActor-Sigma model"):
        check_fixed_patches(made_up.config)


def test_the_first_family_stays_the_one_meant_without_a_name(made_up: Family) -> None:
    assert default_family().name == "megactor" and list(FAMILIES)[-1] == "made-up"


def test_no_two_have_a_name_in_common(made_up: Family) -> None:
    with pytest.raises(ValueError, match="made-up already"):
        register(made_up)
