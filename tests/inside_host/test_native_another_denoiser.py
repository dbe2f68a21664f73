"""A denoiser of another architecture is a native MODEL too, in the host's layers, under its own key names."""

from __future__ import annotations

import importlib
from pathlib import Path

import comfy.ops
import pytest
import torch
from patch_mixer import KIND, PatchMixer, PatchMixerConfig
from test_native_model import SEED, STEPS, difference, ksampler, make_clip, quiet  # noqa: F401
from tiny_model import tiny_config, tiny_networks

from megactor_core.weights.saving import save_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for core in ("megactor_core", "megactor_pack.megactor_core"):  # the tests' and the pack's own
        kinds = importlib.import_module(f"{core}.models.kinds").DENOISERS
        monkeypatch.setitem(kinds, "patch_mixer", KIND)
    config = tiny_config(
        denoiser=PatchMixerConfig(motion_max_positions=16), reference_network=PatchMixerConfig(in_channels=4)
    )
    save_model(config, tiny_networks(config), tmp_path / "model", torch.float32)
    return tmp_path / "model"


@pytest.mark.usefixtures("quiet")
def test_ksampler_gives_what_the_packs_sampler_gives(folder: Path) -> None:
    from megactor_pack.nodes.host.model_loading import load_portrait_model
    from megactor_pack.nodes.host.sampling import sample_clip
    from megactor_pack.nodes.sampling_inputs import sampling_settings

    model = load_portrait_model(folder)
    denoiser = model.denoiser.model.diffusion_model
    assert isinstance(denoiser, PatchMixer) and "patches.weight" in denoiser.state_dict()
    assert isinstance(denoiser.out, comfy.ops.manual_cast.Linear)
    clip = make_clip(20)
    settings = sampling_settings(model.config, seed=SEED, steps=STEPS, guidance_scale=3.0)
    assert difference(ksampler(model, clip, 3.0), sample_clip(model, clip, settings)) < 1e-5
