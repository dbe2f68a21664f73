"""Converting the official layout keeps every weight, and a model folder loads as it was converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from megactor_core.errors import InputError
from megactor_core.families.megactor import FAMILY
from megactor_core.models.config import ModelConfig
from megactor_core.weights.convert import convert_official
from megactor_core.weights.loading import LoadedModel, load_model

State = dict[str, torch.Tensor]
Official = Callable[..., Path]


def assert_same(model: LoadedModel, states: dict[str, State], through: torch.dtype = torch.float32) -> None:
    for name, network in model.networks.items():
        loaded = network.state_dict()
        assert loaded.keys() == states[name].keys()
        for key, value in states[name].items():
            assert torch.equal(loaded[key], value.to(through).float()), f"{name} {key}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wrapped": False},
        {"prefix": ""},
        {"old_vae": False, "with_vae_in_checkpoint": False},
        {"vae_convolutions": True},
        {"vae_safetensors": True},
    ],
    ids=[
        "as-published",
        "bare-state-dict",
        "unprefixed",
        "new-vae-names",
        "vae-1x1-convolutions",
        "vae-safetensors",
    ],
)
def test_round_trip_keeps_every_weight(
    options: dict[str, object],
    official: Official,
    tmp_path: Path,
    config: ModelConfig,
    states: dict[str, State],
) -> None:
    report = convert_official(official(**options), tmp_path / "model", dtype=torch.float32)

    model = load_model(tmp_path / "model")

    assert model.config == report.config == config
    assert_same(model, states)
    assert report.ignored == 1 and report.recomputed == 0 and not any(report.from_base.values())


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
@pytest.mark.parametrize("written", [torch.float32, torch.float16])
def test_either_precision_in_and_out(
    stored: torch.dtype, written: torch.dtype, official: Official, tmp_path: Path, states: dict[str, State]
) -> None:
    convert_official(official(dtype=stored), tmp_path / "model", dtype=written)

    model = load_model(tmp_path / "model")

    # the image encoder and the VAE have files of their own, in float32
    checkpoint = {
        name: {key: value.to(stored) for key, value in states[name].items()}
        for name in FAMILY.layout.parts.values()
    }
    assert_same(model, {**states, **checkpoint, "vae": states["vae"]}, through=written)


def test_the_repository_folder_above_the_weights_is_accepted(
    official: Official, tmp_path: Path, states: dict[str, State]
) -> None:
    root = official()
    (tmp_path / "repository").mkdir()
    root.rename(tmp_path / "repository" / "weights")

    convert_official(tmp_path / "repository", tmp_path / "model", dtype=torch.float32)

    assert_same(load_model(tmp_path / "model"), states)


def test_keys_the_checkpoint_lacks_come_from_its_starting_weights(
    official: Official, tmp_path: Path, states: dict[str, State]
) -> None:
    root = official()
    checkpoint = torch.load(root / "checkpoint-steps9000.ckpt")
    lacking = "conv_norm_out.weight"
    del checkpoint["state_dict"][f"module.unet.{lacking}"]
    tables = [key for key in checkpoint["state_dict"] if key.endswith(".pe")]
    for key in tables:
        del checkpoint["state_dict"][key]
    torch.save(checkpoint, root / "checkpoint-steps9000.ckpt")
    base = {key: value + 1 for key, value in states["denoiser"].items() if key.startswith("conv_")}
    save_file(base, root / "StableDiffusion" / "unet" / "diffusion_pytorch_model.safetensors")

    report = convert_official(root, tmp_path / "model", dtype=torch.float32)

    assert report.from_base == {"denoiser": 1, "reference_network": 0} and report.recomputed == len(tables)
    loaded = load_model(tmp_path / "model").networks.denoiser.state_dict()
    torch.testing.assert_close(loaded[lacking], base[lacking])
    torch.testing.assert_close(loaded["conv_in.weight"], states["denoiser"]["conv_in.weight"])
    name = next(key for key in loaded if key.endswith(".pe"))
    assert loaded[name].shape[1] == 32 and torch.equal(loaded[name][:, :16], states["denoiser"][name])


def test_progress_reaches_the_announced_total(official: Official, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    report = convert_official(official(), tmp_path / "model", progress=lambda *step: seen.append(step))

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (sum(report.sizes.values()), sum(report.sizes.values()))


def test_an_existing_output_is_kept_unless_overwriting(
    official: Official, tmp_path: Path, states: dict[str, State]
) -> None:
    root, output = official(), tmp_path / "model"
    convert_official(root, output)
    before = (output / "config.json").stat().st_mtime_ns

    with pytest.raises(InputError, match=r"exists.*--overwrite"):
        convert_official(root, output)
    assert (output / "config.json").stat().st_mtime_ns == before

    convert_official(root, output, dtype=torch.float32, overwrite=True)
    assert_same(load_model(output), states)


def test_overwriting_never_replaces_a_folder_that_is_no_model(official: Official, tmp_path: Path) -> None:
    root = official()
    with pytest.raises(InputError, match="not a model folder"):
        convert_official(root, root, overwrite=True)
    assert (root / "checkpoint-steps9000.ckpt").is_file()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_nothing_is_left_after_an_interruption(
    interruption: type[BaseException], official: Official, tmp_path: Path
) -> None:
    root = official()
    before = sorted(tmp_path.rglob("*"))

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise interruption

    with pytest.raises(interruption):
        convert_official(root, tmp_path / "model", progress=stop)

    assert sorted(tmp_path.rglob("*")) == before


def test_too_little_disk_space_is_found_before_writing(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = official()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())

    with pytest.raises(InputError, match=r"disk has 0\.0 GB free"):
        convert_official(root, tmp_path / "model")
    assert not (tmp_path / "model").exists()
