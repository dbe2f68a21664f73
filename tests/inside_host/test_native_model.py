"""The native MODEL in the host's own samplers, against the pack's sampler and against itself."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sd
import comfy.utils
import pytest
import torch
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.models.conditions import (
    BackgroundCondition,
    DrivingFeatures,
    ReferenceCondition,
)
from megactor_pack.megactor_core.sampling.noise import start_noise
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.native_clip import native_clip
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.host.sampling import ClipParts, sample_clip
from megactor_pack.nodes.sampling_inputs import sampling_settings
from torch import Tensor

CELLS = 8
SEED = 3
STEPS = 10


def make_clip(num_frames: int, seed: int = 0) -> ClipParts:
    """Random conditions of the tiny model."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    static = torch.cat([random(1, 4, 1, CELLS, CELLS), torch.ones(1, 1, 1, CELLS, CELLS)], dim=1)
    reference = ReferenceCondition(random(1, 4, CELLS, CELLS), static, random(1, 16) * 0.1)
    driving = DrivingFeatures(random(num_frames, 8, CELLS, CELLS))
    return ClipParts(reference, driving, BackgroundCondition(random(1, 5, 16)))


def unit_noise(num_frames: int) -> Tensor:
    """The start noise that the pack's sampler draws for ``SEED``."""
    return start_noise(SEED, num_frames, (4, CELLS, CELLS))[0].transpose(0, 1)


def ksampler(
    model: PortraitModel,
    clip: ClipParts,
    cfg: float = 1.0,
    change: Callable[[Any], Any] = lambda patcher: patcher,
    sampler: str = "ddim",
    scheduler: str = "ddim_uniform",
    **widgets: float,
) -> Tensor:
    """The clip through the host's KSampler, with the noise of the pack's sampler."""
    num_frames = clip.num_frames
    settings = sampling_settings(model.config, **widgets)
    patcher, positive, negative, latent = native_clip(model, clip, settings)
    return comfy.sample.sample(
        change(patcher),
        unit_noise(num_frames),
        STEPS,
        cfg,
        sampler,
        scheduler,
        positive,
        negative,
        latent["samples"],
        seed=SEED,
        disable_pbar=True,
    )


def difference(result: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest value."""
    assert result.shape == expected.shape
    return float((result - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("cfg", [1.0, 4.5])
@pytest.mark.parametrize("num_frames", [1, 8, 20])
def test_ksampler_gives_what_the_packs_sampler_gives(
    model: PortraitModel, num_frames: int, cfg: float, quiet: None
) -> None:
    """DDIM in MegActor's schedule; 20 frames are done in windows of 8 that wrap around the clip's end."""
    clip = make_clip(num_frames)
    settings = sampling_settings(model.config, seed=SEED, steps=STEPS, guidance_scale=cfg)
    assert difference(ksampler(model, clip, cfg), sample_clip(model, clip, settings)) < 1e-5


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_ksampler_reads_the_reference_as_much_as_is_said(
    model: PortraitModel, strength: float, quiet: None
) -> None:
    clip = make_clip(8)
    settings = sampling_settings(
        model.config, seed=SEED, steps=STEPS, guidance_scale=4.5, reference_strength=strength
    )
    result = ksampler(model, clip, 4.5, reference_strength=strength)
    assert difference(result, sample_clip(model, clip, settings)) < 1e-5
    assert difference(result, ksampler(model, clip, 4.5)) > 1e-3


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No previews: the tiny model's latents are random numbers."""
    sampling = importlib.import_module("megactor_pack.nodes.host.sampling")
    monkeypatch.setattr(sampling, "preview_sheet", lambda model, clean: None)


def test_guidance_rows_in_two_calls_give_the_same_as_in_one(
    model: PortraitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(8)
    together = ksampler(model, clip, cfg=4.5)
    calls = []
    native = type(model.denoiser.model)
    apply = native._apply_model

    def counted(self: Any, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        calls.append(len(x))
        return apply(self, x, *arguments, **options)

    monkeypatch.setattr(native, "_apply_model", counted)
    monkeypatch.setattr(native, "memory_required", lambda *arguments, **options: 1 << 60)
    apart = ksampler(model, clip, cfg=4.5)
    assert calls == [8] * (2 * STEPS)
    assert difference(apart, together) < 1e-5


def test_the_reference_and_the_driving_frames_matter(model: PortraitModel) -> None:
    clip, other = make_clip(8), make_clip(8, seed=1)
    result = ksampler(model, clip)
    for part in ("reference", "background", "driving"):
        changed = replace(clip, **{part: getattr(other, part)})
        assert difference(ksampler(model, changed), result) > 1e-3


@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [("euler", "normal"), ("dpmpp_2m", "karras"), ("lcm", "sgm_uniform"), ("uni_pc", "simple")],
)
def test_other_samplers_and_schedulers_run(model: PortraitModel, sampler: str, scheduler: str) -> None:
    result = ksampler(model, make_clip(4), 2.0, sampler=sampler, scheduler=scheduler)
    assert result.shape == (4, 4, CELLS, CELLS)
    assert torch.isfinite(result).all()


def test_a_context_windows_node_takes_the_place_of_the_models_windows(model: PortraitModel) -> None:
    """With its default, which puts a frame before each window: one more than the context length."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    def windows(patcher: Any) -> Any:
        options = {"context_schedule": "standard_static", "context_stride": 1, "closed_loop": False}
        rest = {"fuse_method": "pyramid", "dim": 0, "freenoise": False}
        return ContextWindowsManualNode.execute(patcher, 8, 4, **options, **rest)[0]

    clip = make_clip(20)
    result = ksampler(model, clip, 2.0, windows)
    assert torch.isfinite(result).all()
    assert difference(result, ksampler(model, clip, 2.0)) > 1e-6


def lora(model: PortraitModel, name: Callable[[str], str], parts: tuple[str, str]) -> dict[str, Tensor]:
    """A LoRA of rank 2 on every linear layer of the denoiser's attention."""
    generator = torch.Generator().manual_seed(9)
    state = {}
    for key, weight in model.denoiser.model.diffusion_model.state_dict().items():
        if ".attn1.to_q.weight" in key or ".ff.net.0.proj.weight" in key:
            layer = name(key.removesuffix(".weight"))
            state[f"{layer}.{parts[0]}.weight"] = torch.randn(2, weight.shape[1], generator=generator)
            state[f"{layer}.{parts[1]}.weight"] = torch.randn(weight.shape[0], 2, generator=generator) * 0.1
    return state


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (lambda key: "lora_unet_" + key.replace(".", "_"), ("lora_down", "lora_up")),
        (lambda key: f"diffusion_model.{key}", ("lora_A", "lora_B")),
    ],
    ids=["kohya", "peft"],
)
def test_a_lora_works_through_the_stock_loader(
    tiny_folder: Path, name: Callable[[str], str], parts: tuple[str, str]
) -> None:
    model = load_portrait_model(tiny_folder)
    clip = make_clip(8)
    before = ksampler(model, clip)
    state = lora(model, name, parts)
    with_lora = ksampler(
        model, clip, change=lambda patcher: comfy.sd.load_lora_for_models(patcher, None, state, 0.5, 0)[0]
    )
    assert difference(with_lora, before) > 1e-3
    merged = load_portrait_model(tiny_folder)
    weights = merged.denoiser.model.diffusion_model.state_dict()
    for key, weight in weights.items():
        layer = name(key.removesuffix(".weight"))
        if f"{layer}.{parts[0]}.weight" in state:
            weight += 0.5 * state[f"{layer}.{parts[1]}.weight"] @ state[f"{layer}.{parts[0]}.weight"]
    assert difference(with_lora, ksampler(merged, clip)) < 1e-5
    assert torch.equal(ksampler(model, clip), before)


def easy_cache(patcher: Any) -> Any:
    from comfy_extras.nodes_easycache import EasyCacheNode

    return EasyCacheNode.execute(patcher, 10.0, 0.1, 0.95, False)[0]


def test_easy_cache_skips_steps_of_a_short_clip(model: PortraitModel, calls: list[int]) -> None:
    result = ksampler(model, make_clip(8), change=easy_cache)
    assert torch.isfinite(result).all()
    assert len(calls) < STEPS


def test_easy_cache_leaves_context_windows_alone(model: PortraitModel, calls: list[int]) -> None:
    """Its cache does not know one window from another; the result must be exact instead of wrong."""
    clip = make_clip(20)
    plain = ksampler(model, clip)
    expected = len(calls)
    cached = ksampler(model, clip, change=easy_cache)
    assert len(calls) == 2 * expected
    assert torch.equal(cached, plain)


@pytest.fixture
def calls(model: PortraitModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of every call of the denoiser."""
    denoiser = type(model.denoiser.model.diffusion_model)
    denoise, counted = denoiser.denoise, []

    def counting(self: Any, sample: Tensor, *arguments: Any, **options: Any) -> Tensor:
        counted.append(sample.shape[2])
        return denoise(self, sample, *arguments, **options)

    monkeypatch.setattr(denoiser, "denoise", counting)
    return counted


def lazy_cache(patcher: Any) -> Any:
    from comfy_extras.nodes_easycache import LazyCacheNode

    return LazyCacheNode.execute(patcher, 10.0, 0.1, 0.95, False)[0]


def test_lazy_cache_skips_steps_in_context_windows_too(model: PortraitModel, calls: list[int]) -> None:
    clip = make_clip(20)
    ksampler(model, clip)
    whole = len(calls)
    assert torch.isfinite(ksampler(model, clip, change=lazy_cache)).all()
    assert len(calls) - whole < whole


def test_rescaled_guidance_has_its_effect(model: PortraitModel) -> None:
    from comfy_extras.nodes_model_advanced import RescaleCFG

    clip = make_clip(8)
    rescaled = ksampler(model, clip, 4.5, lambda patcher: RescaleCFG().patch(patcher, 0.7)[0])
    assert torch.isfinite(rescaled).all()
    assert difference(rescaled, ksampler(model, clip, 4.5)) > 1e-3


def test_torch_compile(one_level_folder: Path) -> None:
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    model, clip = load_portrait_model(one_level_folder), make_clip(4)
    plain = ksampler(model, clip, 2.0)
    compiled = ksampler(
        model, clip, 2.0, change=lambda patcher: TorchCompileModel.execute(patcher, "inductor")[0]
    )
    assert difference(compiled, plain) < 1e-4
    assert torch.equal(ksampler(model, clip, 2.0), plain)


def test_half_of_the_weights_on_the_device_give_the_same(model: PortraitModel) -> None:
    clip = make_clip(8)
    whole = ksampler(model, clip)
    comfy.model_management.unload_all_models()
    size = model.denoiser.model_size()
    try:
        model.denoiser.load(model.device, lowvram_model_memory=size // 2)
        assert model.denoiser.model.model_lowvram
        assert 0 < model.denoiser.loaded_size() < size
        assert torch.equal(ksampler(model, clip), whole)
    finally:
        model.denoiser.unpatch_model(model.denoiser.offload_device)


def test_unloading_in_between_changes_nothing(model: PortraitModel) -> None:
    clip = make_clip(8)
    before = ksampler(model, clip)
    comfy.model_management.unload_all_models()
    assert torch.equal(ksampler(model, clip), before)


def test_a_latent_of_another_length_is_refused(model: PortraitModel) -> None:
    patcher, positive, negative, _ = native_clip(model, make_clip(8), sampling_settings(model.config))
    latent = torch.zeros(6, 4, CELLS, CELLS)
    with pytest.raises(InputError, match="latent of 6 frames: the driving clip has 8 frames"):
        comfy.sample.sample(
            patcher, latent, 2, 1.0, "ddim", "simple", positive, negative, latent, disable_pbar=True
        )


def test_foreign_conditioning_is_refused(model: PortraitModel) -> None:
    patcher, _, _, latent = native_clip(model, make_clip(8), sampling_settings(model.config))
    text = [[torch.zeros(1, 77, 16), {}]]
    with pytest.raises(InputError, match="does not come from Apply MegActor"):
        samples = latent["samples"]
        comfy.sample.sample(
            patcher, samples, 2, 1.0, "ddim", "simple", text, text, samples, disable_pbar=True
        )


def test_a_driver_of_another_size_is_refused(model: PortraitModel) -> None:
    driving = DrivingFeatures(torch.zeros(8, 8, 16, 16))
    clip = replace(make_clip(8), driving=driving)
    with pytest.raises(InputError, match="driving frames of 128x128 pixels: the portrait is 64x64"):
        native_clip(model, clip, sampling_settings(model.config))


@pytest.mark.parametrize("start", ["noise", "reference"])
def test_a_run_from_the_packs_demo_model_needs_no_special_noise(
    start: str, tmp_path: Path, quiet: None
) -> None:
    """Its frames share their start noise, which the native model draws from the seed just the same."""
    demo = Path(__file__).parents[2] / "megactor_core" / "weights" / "demo"
    folder = shutil.copytree(demo, tmp_path / "demo")
    values = json.loads((folder / "config.json").read_text())
    schedule = values["inference_scheduler"]
    schedule |= {"rescale_betas_zero_snr": True, "beta_end": 0.012}
    if start == "reference":
        schedule |= {"rescale_betas_zero_snr": False, "beta_end": 0.002}
    (folder / "config.json").write_text(json.dumps({**values, "start": start}))
    model = load_portrait_model(folder)
    config = model.config
    generator = torch.Generator().manual_seed(0)
    cells = config.latent_space.cells(config.defaults.size)
    channels = config.latent_space.channels
    width = config.driving_encoder.channels[-1]

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    latents = random(1, channels, cells, cells)
    static = torch.cat([latents[:, :, None], torch.ones(1, 1, 1, cells, cells)], dim=1)
    background = BackgroundCondition(random(1, 17, config.denoiser.cross_attention_dim))
    clip = ClipParts(
        ReferenceCondition(latents, static, torch.zeros(1, 2 * width)),
        DrivingFeatures(random(4, width, cells, cells) * 0.1),
        background,
    )
    settings = sampling_settings(config, seed=SEED)
    own = sample_clip(model, clip, settings)
    patcher, positive, negative, latent = native_clip(model, clip, settings)
    samples = latent["samples"]
    host_noise = comfy.sample.prepare_noise(samples, SEED)
    result = comfy.sample.sample(
        patcher,
        host_noise,
        config.defaults.num_inference_steps,
        1.0,
        "ddim",
        "simple",
        positive,
        negative,
        samples,
        seed=SEED,
        disable_pbar=True,
    )
    # the host's zero terminal SNR ends at 4.9e-8 instead of 0
    assert difference(result, own) < 1e-3
