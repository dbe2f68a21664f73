"""MegActor-Sigma and X-Portrait as native MODELs: the host's samplers give what the pack's sampler gives."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import pytest
import torch
from megactor_pack.megactor_core.errors import InputError
from megactor_pack.megactor_core.models.conditions import (
    AudioCondition,
    ControlCondition,
    ControlStrength,
    DrivingFeatures,
    ReferenceCondition,
)
from megactor_pack.megactor_core.motion import Amplitude, Motion
from megactor_pack.megactor_core.sampling.noise import start_noise
from megactor_pack.megactor_core.weights.random_model import write_random_model
from megactor_pack.nodes.apply import ApplyMegActor
from megactor_pack.nodes.host.model_loading import load_portrait_model
from megactor_pack.nodes.host.native.conditions import KEY
from megactor_pack.nodes.host.native_clip import native_clip
from megactor_pack.nodes.host.portrait_model import PortraitModel
from megactor_pack.nodes.host.sampling import ClipParts, sample_clip
from megactor_pack.nodes.sampling_inputs import sampling_settings
from test_native_model import difference, easy_cache, lazy_cache
from torch import Tensor

FAMILIES = ("megactor-sigma", "xportrait", "megactor-sigma-dit")
CELLS, WIDTH = 8, 8
SEED, STEPS = 3, 5
WINDOW = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PortraitModel]:
    root = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        write_random_model(family, root / family)
    return {family: load_portrait_model(root / family) for family in FAMILIES}


@pytest.fixture(autouse=True)
def no_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = importlib.import_module("megactor_pack.nodes.host.sampling")
    monkeypatch.setattr(sampling, "preview_sheet", lambda model, clean: None)


def make_clip(family: str, num_frames: int, references: int = 1) -> ClipParts:
    """Random conditions of a tiny model."""
    generator = torch.Generator().manual_seed(num_frames)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    reference = ReferenceCondition(
        random(references, 4, CELLS, CELLS), torch.zeros(1, 0, 1, CELLS, CELLS), torch.zeros(1, 0)
    )
    if family == "xportrait":
        controls = {
            name: ControlCondition(random(num_frames, WIDTH, CELLS, CELLS))
            for name in ("face_control", "patch_control")
        }
        return ClipParts(reference, DrivingFeatures(torch.zeros(num_frames, 0, CELLS, CELLS), controls))
    rows = torch.arange(num_frames)[:, None] + torch.arange(10)
    audio = AudioCondition(random(num_frames + 9, 5, WIDTH), rows, torch.ones(num_frames))
    return ClipParts(reference, DrivingFeatures(random(num_frames, WIDTH, CELLS, CELLS)), audio=audio)


def own(model: PortraitModel, clip: ClipParts, cfg: float) -> Tensor:
    settings = sampling_settings(model.config, seed=SEED, steps=STEPS, guidance_scale=cfg)
    return sample_clip(model, clip, settings)


def host(
    model: PortraitModel,
    clip: ClipParts,
    cfg: float,
    change: Callable[[Any], Any] = lambda patcher: patcher,
    samples: Tensor | None = None,
) -> Tensor:
    """The clip through the host's DDIM in the pack's schedule, with the noise of the pack's sampler.

    X-Portrait's schedule ends at its first noise level instead of none: its latents keep that level's size.
    """
    patcher, positive, negative, latent = native_clip(model, clip, sampling_settings(model.config))
    schedule = patcher.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(schedule, "ddim_uniform", STEPS)
    signal = 1.0
    if not model.config.inference_scheduler.set_alpha_to_one:
        sigmas[-1] = schedule.sigmas[0]
        signal = float((1 + sigmas[-1] ** 2) ** -0.5)
    noise = start_noise(SEED, clip.num_frames, (4, CELLS, CELLS))[0].transpose(0, 1)
    result = comfy.sample.sample_custom(
        change(patcher),
        noise,
        cfg,
        comfy.samplers.sampler_object("ddim"),
        sigmas,
        positive,
        negative,
        latent["samples"] if samples is None else samples,
        disable_pbar=True,
        seed=SEED,
    )
    return signal * result


@pytest.mark.parametrize("cfg", [1.0, 3.5])
@pytest.mark.parametrize("num_frames", [1, 5, WINDOW, 21])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_host_gives_what_the_packs_sampler_gives(
    models: dict[str, PortraitModel], family: str, num_frames: int, cfg: float
) -> None:
    """MegActor-Sigma's windows move with every step, X-Portrait's begin anywhere and repeat short clips."""
    model, clip = models[family], make_clip(family, num_frames)
    assert difference(host(model, clip, cfg), own(model, clip, cfg)) < 1e-5


OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "strengths": (
        "xportrait",
        {"strengths": {"face_control": ControlStrength(0.5, 0.2, 0.9), "patch_control": ControlStrength(0)}},
    ),
    "no controls": (
        "xportrait",
        {"strengths": {name: ControlStrength(0) for name in ("face_control", "patch_control")}},
    ),
    "several references": ("xportrait", {"reference": make_clip("xportrait", 5, references=2).reference}),
    "amplitudes": ("megactor-sigma", {"amplitude": Amplitude(expression=0.3, speech=[0, 0.5, 1, 1.5, 2])}),
    "silence": ("megactor-sigma", {"audio": None}),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_linked_has_the_same_effect(models: dict[str, PortraitModel], option: str) -> None:
    family, changes = OPTIONS[option]
    model, plain = models[family], make_clip(family, 5)
    clip = replace(plain, **changes)
    result = host(model, clip, 2.0)
    assert difference(result, own(model, clip, 2.0)) < 1e-5
    assert difference(result, host(model, plain, 2.0)) > 1e-4


def test_the_node_takes_sound_amplitude_and_strengths(models: dict[str, PortraitModel]) -> None:
    def row(family: str, **inputs: Any) -> Any:
        clip = make_clip(family, 5)
        given = {"reference": clip.reference, "driving": clip.driving, **inputs}
        positive = ApplyMegActor.execute(models[family], **given).args[1]
        return positive[0][1][KEY].conditions

    audio = make_clip("megactor-sigma", 5).audio
    told = row("megactor-sigma", audio=audio, amplitude=Motion(Amplitude(speech=0.5)))
    assert torch.equal(told.audio.features, audio.features)
    assert torch.equal(told.audio.weight, torch.full((5,), 0.5))
    strengths = {"face_control": ControlStrength(0.5), "patch_control": ControlStrength(0)}
    controls = row("xportrait", control_strength=strengths).controls
    assert {name: control.use for name, control in controls.items()} == {"face_control": ControlStrength(0.5)}


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_rows_in_two_calls_give_the_same_as_in_one(
    models: dict[str, PortraitModel], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, clip = models[family], make_clip(family, 5)
    together = host(model, clip, 3.5)
    monkeypatch.setattr(type(model.denoiser.model), "memory_required", lambda *arguments, **options: 1 << 60)
    assert difference(host(model, clip, 3.5), together) < 1e-5


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the parts of a model work."""
    counted: Counter[str] = Counter()

    def count(what: str, module: str, name: str, method: str) -> None:
        class_ = getattr(importlib.import_module(f"megactor_pack.{module}"), name)
        work = getattr(class_, method)

        def counting(self: Any, *arguments: Any, **options: Any) -> Any:
            counted[what] += 1
            return work(self, *arguments, **options)

        monkeypatch.setattr(class_, method, counting)

    count("reference", "megactor_core.models.sd15.reference", "ReferenceNetwork", "forward")
    count("reference", "megactor_core.models.dit.transformer", "ReferenceTransformer", "forward")
    count("controls", "megactor_core.models.sd15.controlnet", "ControlNet", "forward")
    count("sound", "megactor_core.models.conditioned", "ConditionedDenoiser", "audio_keys_values")
    count("denoise", "megactor_core.models.conditioned", "ConditionedDenoiser", "denoise")
    count("context", "megactor_core.models.conditioned", "ConditionedNetwork", "context_keys_values")
    return counted


@pytest.mark.parametrize("family", FAMILIES)
def test_work_that_windows_and_rows_share_is_done_once(
    models: dict[str, PortraitModel], family: str, calls: Counter[str]
) -> None:
    model, clip = models[family], make_clip(family, 21)
    own(model, clip, 3.5)
    expected, _ = Counter(calls), calls.clear()
    host(model, clip, 3.5)
    assert calls == expected
    assert calls["reference"] < calls["denoise"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_latent_that_is_not_empty_is_left_to_the_host(
    models: dict[str, PortraitModel], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, clip = models[family], make_clip(family, 5)
    video = torch.randn(5, 4, CELLS, CELLS, generator=torch.Generator().manual_seed(1))
    of_video, empty = host(model, clip, 1.0, samples=video), host(model, clip, 1.0)
    monkeypatch.setattr(model.denoiser.model, "portrait", replace(model.config, start="noise"))
    assert torch.equal(host(model, clip, 1.0, samples=video), of_video)
    assert difference(host(model, clip, 1.0), empty) > 1e-5


def test_all_networks_are_in_the_hosts_hands(models: dict[str, PortraitModel]) -> None:
    model = models["xportrait"]
    comfy.model_management.unload_all_models()
    host(model, make_clip("xportrait", 2), 1.0)
    loaded = [entry.model.model for entry in comfy.model_management.current_loaded_models]
    patchers = [model.denoiser, model.reference_network, *model.controls.values()]
    assert all(any(patcher.model is network for network in loaded) for patcher in patchers)


def test_memory_is_reckoned_for_one_window(
    models: dict[str, PortraitModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a short clip is repeated in it."""
    model, shapes = models["xportrait"], []
    native = type(model.denoiser.model)
    estimate = native.memory_required

    def noted(self: Any, input_shape: Any, *arguments: Any, **options: Any) -> Any:
        shapes.append(input_shape[0])
        return estimate(self, input_shape, *arguments, **options)

    for num_frames in (3, 40):
        clip = make_clip("xportrait", num_frames)
        monkeypatch.setattr(native, "memory_required", noted)
        host(model, clip, 1.0)
        assert max(shapes) == 2 * WINDOW
        shapes.clear()


def test_an_area_is_refused_beside_controls(models: dict[str, PortraitModel]) -> None:
    model, clip = models["xportrait"], make_clip("xportrait", 2)
    patcher, positive, negative, latent = native_clip(model, clip, sampling_settings(model.config))
    positive[0][1]["area"] = (4, 4, 0, 0)
    with pytest.raises(InputError, match="area of the conditioning"):
        samples = latent["samples"]
        comfy.sample.sample(
            patcher, samples, 2, 1.0, "ddim", "simple", positive, negative, samples, disable_pbar=True
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_easy_cache_leaves_moving_windows_alone(models: dict[str, PortraitModel], family: str) -> None:
    model, clip = models[family], make_clip(family, WINDOW)
    assert torch.equal(host(model, clip, 1.0, easy_cache), host(model, clip, 1.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_lazy_cache_skips_steps_in_moving_windows(
    models: dict[str, PortraitModel], family: str, calls: Counter[str]
) -> None:
    model, clip = models[family], make_clip(family, 21)
    host(model, clip, 1.0)
    whole = calls.pop("denoise")
    assert torch.isfinite(host(model, clip, 1.0, lazy_cache)).all()
    assert calls["denoise"] < whole


def test_a_mask_goes_beside_controls(models: dict[str, PortraitModel]) -> None:
    from nodes import ConditioningSetMask

    model, clip = models["xportrait"], make_clip("xportrait", 3)
    patcher, positive, negative, latent = native_clip(model, clip, sampling_settings(model.config))
    mask = torch.zeros(1, CELLS, CELLS)
    mask[:, :4] = 1
    samples, options = latent["samples"], {"seed": SEED, "disable_pbar": True}
    results = [
        comfy.sample.sample(
            patcher, torch.ones_like(samples), 2, 1.0, "ddim", "simple", told, negative, samples, **options
        )
        for told in (positive, ConditioningSetMask().append(positive, mask, "default", 1.0)[0])
    ]
    assert torch.isfinite(results[1]).all()
    assert difference(*results) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_context_windows_node_takes_the_place_of_the_models_windows(
    models: dict[str, PortraitModel], family: str
) -> None:
    """Sound and controls are those of its frames, with the frame that its default puts before a window."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    def windows(patcher: Any) -> Any:
        options = {"context_schedule": "standard_static", "context_stride": 1, "closed_loop": False}
        rest = {"fuse_method": "pyramid", "dim": 0, "freenoise": False}
        return ContextWindowsManualNode.execute(patcher, 8, 4, **options, **rest)[0]

    result = host(models[family], make_clip(family, 20), 2.0, windows)
    assert torch.isfinite(result).all()


def test_a_cancelled_run_leaves_nothing_behind(models: dict[str, PortraitModel], calls: Counter[str]) -> None:
    model, clip = models["xportrait"], make_clip("xportrait", 21)
    before = host(model, clip, 1.0)
    calls.clear()

    def cancelled(executor: Any, *arguments: Any, **options: Any) -> Any:
        if calls["denoise"] == 3:
            comfy.model_management.interrupt_current_processing()
        return executor(*arguments, **options)

    def change(patcher: Any) -> Any:
        patcher.add_wrapper(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, cancelled)
        return patcher

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        host(model, clip, 1.0, change)
    assert calls["denoise"] < 6
    assert torch.equal(host(model, clip, 1.0), before)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m", "lcm"])
def test_other_samplers_run(models: dict[str, PortraitModel], family: str, sampler: str) -> None:
    model = models[family]
    patcher, positive, negative, latent = native_clip(
        model, make_clip(family, 5), sampling_settings(model.config)
    )
    noise, options = torch.randn(5, 4, CELLS, CELLS), {"seed": SEED, "disable_pbar": True}
    samples = latent["samples"]
    result = comfy.sample.sample(
        patcher, noise, 3, 2.0, sampler, "simple", positive, negative, samples, **options
    )
    assert torch.isfinite(result).all()
