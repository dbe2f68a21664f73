"""Load MegActor LoRA: what the core merges, as patches that leave the linked model alone; another base."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from lora_files import LAYERS, NAMINGS, OUT, SPATIAL, Naming, factors, kohya, kohya_layer, lora
from megactor_pack.megactor_core.animator import Animator
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.weights.lora import merge_lora
from megactor_pack.megactor_core.weights.random_model import write_random_model
from megactor_pack.nodes.host.animation import HostAnimator
from megactor_pack.nodes.host.model_files import register_folder
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.host.sampling import ClipParts, sample_clip
from megactor_pack.nodes.load_lora import LoadMegActorLora
from megactor_pack.nodes.load_model import LoadMegActorModel
from megactor_pack.nodes.sampling_inputs import sampling_settings
from safetensors.torch import save_file
from test_native_families import host, make_clip
from test_native_model import difference, ksampler
from test_native_model import make_clip as make_megactor_clip
from tiny_model import portrait_image, write_driver
from torch import Tensor

FAMILIES = ("megactor", "megactor-sigma", "xportrait")
NAME = "style/of mine.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    for family in FAMILIES[1:]:
        write_random_model(family, root / family)
    return {"megactor": tiny_folder, **{family: root / family for family in FAMILIES[1:]}}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, PortraitModel]:
    return {family: load_portrait_model(folder) for family, folder in folders.items()}


@pytest.fixture
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's models folder, with nothing in it."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    kinds = {kind: ([str(tmp_path / kind)], {".safetensors"}) for kind in ("loras", "checkpoints")}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", kinds)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    register_folder()
    for kind in ("loras/style", "checkpoints", "megactor"):
        (tmp_path / kind).mkdir(parents=True)
    return tmp_path


@pytest.fixture(autouse=True)
def no_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = importlib.import_module("megactor_pack.nodes.host.sampling")
    monkeypatch.setattr(sampling, "preview_sheet", lambda model, clean: None)


def clip_of(model: PortraitModel) -> ClipParts:
    family = model.config.family
    return make_megactor_clip(3) if family == "megactor" else make_clip(family, 3)


def sampled(model: PortraitModel, **settings: Any) -> Tensor:
    chosen = sampling_settings(model.config, **{"seed": 3, "steps": 2, "guidance_scale": 2.0, **settings})
    return sample_clip(model, clip_of(model), chosen)


def network(model: PortraitModel) -> torch.nn.Module:
    return model.denoiser.model.diffusion_model


def write(folder: Path, state: dict[str, Tensor], name: str = NAME) -> Path:
    path = folder / "loras" / name
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return path


def with_lora(model: PortraitModel, name: str = NAME, strength: float = 1.0) -> tuple[PortraitModel, str]:
    return LoadMegActorLora.execute(model, name, strength).args


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("naming", "layers"), NAMINGS)
def test_every_naming_gives_what_the_core_merges(
    models: dict[str, PortraitModel],
    folders: dict[str, Path],
    models_folder: Path,
    family: str,
    naming: Naming,
    layers: tuple[str, ...],
) -> None:
    model = models[family]
    before = sampled(model)
    path = write(models_folder, lora(network(model), naming, layers))
    changed, report = with_lora(model, strength=0.4)
    merged = load_portrait_model(folders[family])
    merge_lora(network(merged), path, 0.4)
    assert report == f"of mine.safetensors: {len(layers)} layers changed"
    result = sampled(changed)
    assert difference(result, sampled(merged)) < 1e-5
    assert difference(result, before) > 1e-4
    assert torch.equal(sampled(model), before), "the linked model stays as it is"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_native_model_has_it_too(
    models: dict[str, PortraitModel], folders: dict[str, Path], models_folder: Path, family: str
) -> None:
    model = models[family]
    path = write(models_folder, lora(network(model), kohya, LAYERS))
    merged = load_portrait_model(folders[family])
    merge_lora(network(merged), path)
    changed, _ = with_lora(model)

    def native(model: PortraitModel) -> Tensor:
        return ksampler(model, clip_of(model)) if family == "megactor" else host(model, clip_of(model), 1.0)

    assert difference(native(changed), native(merged)) < 1e-5


def test_animate_portrait_gives_the_cores_frames(
    models: dict[str, PortraitModel], folders: dict[str, Path], models_folder: Path, tmp_path: Path
) -> None:
    path = write(models_folder, lora(network(models["xportrait"]), kohya, LAYERS))
    driver = write_driver(tmp_path / "driver.mkv", 3)
    clips = []
    for animator in (
        Animator.from_pretrained(folders["xportrait"], device="cpu", loras=[(path, 0.3)]),
        HostAnimator(with_lora(models["xportrait"], strength=0.3)[0]),
        HostAnimator(models["xportrait"]),
    ):
        frames: list[np.ndarray] = []
        animator.animate(
            portrait_image(),
            driving=driver,
            crop="whole",
            settings=animator.settings(),
            output=tmp_path / f"{len(clips)}.mkv",
            on_frame=lambda index, frame, frames=frames: frames.append(frame),
        )
        clips.append(np.stack(frames).astype(int))
    assert np.abs(clips[0] - clips[1]).max() <= 1
    assert np.abs(clips[1] - clips[2]).max() > 1


def test_several_follow_each_other_and_cancel_out(
    models: dict[str, PortraitModel], models_folder: Path
) -> None:
    model = models["xportrait"]
    before = sampled(model)
    write(models_folder, lora(network(model), kohya, (SPATIAL,)), "one.safetensors")
    write(models_folder, lora(network(model), kohya, (SPATIAL, OUT)), "two.safetensors")
    one, _ = with_lora(model, "one.safetensors")
    both, _ = with_lora(one, "two.safetensors", 0.5)
    results = [sampled(model) for model in (one, both)]
    assert difference(*results) > 1e-4
    assert torch.equal(sampled(one), results[0])
    back, _ = with_lora(with_lora(both, "two.safetensors", -0.5)[0], "one.safetensors", -1.0)
    assert difference(sampled(back), before) < 1e-5
    comfy.model_management.unload_all_models()
    assert torch.equal(sampled(model), before)


def test_strength_zero_changes_nothing(models: dict[str, PortraitModel], models_folder: Path) -> None:
    model = models["xportrait"]
    write(models_folder, lora(network(model), kohya, LAYERS))
    unchanged, report = with_lora(model, strength=0.0)
    assert torch.equal(sampled(unchanged), sampled(model))
    assert "5 layers" in report


def test_every_name_without_a_match_is_listed(models: dict[str, PortraitModel], models_folder: Path) -> None:
    model = models["megactor-sigma"]
    state = lora(network(model), kohya, (SPATIAL,))
    foreign = [f"lora_unet_nowhere_{number}.lora_down.weight" for number in range(9)]
    text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(2, 2)}
    write(models_folder, state | {name: torch.ones(2, 2) for name in foreign} | text)
    summary, *names = with_lora(model)[1].splitlines()
    assert names == foreign
    assert "1 layers changed; 9 names without a match; 1 names of the text encoder" in summary


@pytest.mark.parametrize("family", FAMILIES)
def test_few_steps_with_the_lcm_scheduler(
    models: dict[str, PortraitModel], models_folder: Path, family: str
) -> None:
    """Files as LCM's and Hyper-SD's: kohya's names on every layer of SD1.5, no guidance."""
    model = models[family]
    kinds = torch.nn.Linear | torch.nn.Conv2d
    layers = [name for name, layer in network(model).named_modules() if isinstance(layer, kinds)]
    spatial = tuple(n for n in layers if "motion_modules" not in n and "condition_input" not in n)
    state = lora(network(model), kohya, spatial)
    write(models_folder, {key: tensor.half() for key, tensor in state.items()})
    changed, report = with_lora(model, strength=0.1)
    assert report.endswith(f"{len(spatial)} layers changed")
    settings = {"scheduler": "lcm", "steps": 4, "guidance_scale": 1.0}
    result = sampled(changed, **settings)
    assert torch.isfinite(result).all()
    assert difference(result, sampled(model, **settings)) > 1e-3


def test_what_cannot_be_used_is_refused(models: dict[str, PortraitModel], models_folder: Path) -> None:
    assert "lora gone.safetensors: is not in models/loras" in str(
        LoadMegActorLora.validate_inputs("gone.safetensors")
    )
    model = models["xportrait"]
    layer_of_xl = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    _, up = factors(network(model), SPATIAL)
    autoencoder = ("encoder.conv_in.weight", "decoder.conv_in.weight", "encoder.down_blocks.0.weight")
    for state, problem in (
        (kohya_layer(layer_of_xl, torch.ones(2, 2048), torch.ones(16, 2)), "another architecture"),
        (kohya("double_blocks.0.img_attn.proj", torch.ones(2, 8), up), "fits no layer of this model"),
        ({"latent_image": up}, "fits no layer of this model"),
        ({name: up.clone() for name in autoencoder}, "is an autoencoder"),
    ):
        write(models_folder, state)
        assert LoadMegActorLora.validate_inputs(NAME) is True
        with pytest.raises(InputError, match=problem):
            with_lora(model)


def test_a_strength_that_is_no_number_is_refused(
    models: dict[str, PortraitModel], models_folder: Path
) -> None:
    write(models_folder, lora(network(models["xportrait"]), kohya, LAYERS))
    with pytest.raises(InputError, match="finite"):
        with_lora(models["xportrait"], strength=float("nan"))


def test_a_replaced_file_is_noticed(models: dict[str, PortraitModel], models_folder: Path) -> None:
    state = lora(network(models["xportrait"]), kohya, LAYERS)
    write(models_folder, state)
    first = LoadMegActorLora.fingerprint_inputs(NAME)
    write(models_folder, {key: tensor.half() for key, tensor in state.items()})
    assert LoadMegActorLora.fingerprint_inputs(NAME) != first
    assert LoadMegActorLora.fingerprint_inputs(None) is None


def base_of(model: PortraitModel) -> dict[str, Tensor]:
    """Random weights for the spatial part of a denoiser, as another SD1.5 has them."""
    state = {key: value for key, value in network(model).state_dict().items() if "motion_modules" not in key}
    return {key: torch.randn(value.shape) * 0.05 for key, value in state.items()}


def test_another_base_under_xportrait(
    models: dict[str, PortraitModel], folders: dict[str, Path], models_folder: Path
) -> None:
    (models_folder / "megactor" / "mine").symlink_to(folders["xportrait"], target_is_directory=True)
    base = base_of(models["xportrait"])
    save_file(base, models_folder / "checkpoints" / "photo.safetensors")
    loaded = LoadMegActorModel.execute("mine", False, "photo.safetensors").args[0]
    weights = network(loaded).state_dict()
    assert all(torch.equal(weights[key], value) for key, value in base.items())
    plain = network(models["xportrait"]).state_dict()
    kept = weights.keys() - base.keys()
    assert kept and all(torch.equal(weights[key], plain[key]) for key in kept)
    assert difference(sampled(loaded), sampled(models["xportrait"])) > 1e-3


def test_what_is_no_base_is_refused(
    models: dict[str, PortraitModel], folders: dict[str, Path], models_folder: Path
) -> None:
    for family, folder in folders.items():
        (models_folder / "megactor" / f"my-{family}").symlink_to(folder, target_is_directory=True)
    base = base_of(models["xportrait"])
    xl = {**base, "model.diffusion_model.label_emb.0.0.weight": torch.ones(2, 2)}
    inpainting = {**base, "conv_in.weight": torch.ones(8, 9, 3, 3)}
    low_rank = kohya(SPATIAL, *factors(network(models["xportrait"]), SPATIAL))
    for family, state, problem in (
        ("xportrait", xl, "Stable Diffusion XL"),
        ("xportrait", inpainting, "another architecture"),
        ("xportrait", low_rank, "is a LoRA file"),
        ("megactor-sigma", base, "trained as a whole"),
        ("megactor", base, "trained as a whole"),
    ):
        save_file(state, models_folder / "checkpoints" / "photo.safetensors")
        with pytest.raises(InputError, match=problem):
            LoadMegActorModel.execute(f"my-{family}", False, "photo.safetensors")
    with pytest.raises(InputError, match=r"base gone\.safetensors: is not in models/checkpoints"):
        LoadMegActorModel.execute("my-xportrait", False, "gone.safetensors")
