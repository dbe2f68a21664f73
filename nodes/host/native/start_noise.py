"""Changes of a sampling run for the native model: its start noise, and work that is done once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import comfy.model_patcher
import comfy.model_sampling
import comfy.patcher_extension
import torch
from torch import Tensor

from ....megactor_core.models.config import ModelConfig
from ....megactor_core.sampling.noise import SHARED
from ....megactor_core.sampling.schedule import blend_start
from ....megactor_core.seeds import frame_generator
from .conditions import KEY, Row

RUN = "megactor_run"
"""Key of the ``Run`` in ``transformer_options``."""

Value = TypeVar("Value")


class Run:
    """A sampling run, and results that hold for all of it or for one timestep.

    Args:
        seed: of the run, where the host names one.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._values: dict[Hashable, Any] = {}
        self._timestep: float | None = None
        self._values_of_step: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of ``key``, which holds for the whole run."""
        if key not in self._values:
            self._values[key] = compute()
        return self._values[key]

    def once_per_step(self, timestep: float, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of ``key`` at a timestep; those of other timesteps are dropped."""
        if timestep != self._timestep:
            self._timestep, self._values_of_step = timestep, {}
        if key not in self._values_of_step:
            self._values_of_step[key] = compute()
        return self._values_of_step[key]


class _StartNoise:
    """From an empty latent, noise of unit variance at whatever sigma a run begins.

    The host scales by sigma alone below the highest one, which leaves DDIM's first step 0.1 % too small.
    """

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        whole = max_denoise or torch.count_nonzero(latent_image) == 0
        return super().noise_scaling(sigma, noise, latent_image, whole)  # type: ignore[misc]


class _EpsilonSampling(_StartNoise, comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


class _VelocitySampling(
    _StartNoise, comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION
):
    pass


def model_sampling(config: Any, velocity: bool) -> comfy.model_sampling.ModelSamplingDiscrete:
    """The host's noise schedule of a model."""
    return (_VelocitySampling if velocity else _EpsilonSampling)(config)


def add_run_wrapper(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Give every sampling run of the patcher its ``Run`` and the model's own start noise."""
    patcher.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, RUN, _outer_sample)


def _outer_sample(
    executor: Any, noise: Tensor, latent_image: Tensor, *arguments: Any, **options: Any
) -> Tensor:
    guider = executor.class_obj
    seed = arguments[5] if len(arguments) > 5 else options.get("seed")
    run = Run(None if seed is None else seed % 2**63)
    guider.model_options.setdefault("transformer_options", {})[RUN] = run
    if torch.count_nonzero(noise) > 0:
        config: ModelConfig = guider.model_patcher.model.portrait
        noise = _share(noise, config.defaults.shared_noise, run.seed)
        if torch.count_nonzero(latent_image) == 0:
            noise = _blend(noise * config.defaults.noise_scale, guider.conds, config)
    return executor(noise, latent_image, *arguments, **options)


def _share(noise: Tensor, share: float, seed: int | None) -> Tensor:
    """Noise of which all frames have a share in common."""
    if share == 0 or seed is None:
        return noise
    common = torch.randn(noise.shape[1:], generator=frame_generator(seed, SHARED)).to(noise)
    return common * share**0.5 + noise * (1 - share) ** 0.5


def _blend(noise: Tensor, conds: Mapping[str, list[dict[str, Any]]], config: ModelConfig) -> Tensor:
    """Noise blended with the portrait, where the model starts from it."""
    rows: list[Row] = [cond[KEY] for entries in conds.values() for cond in entries if KEY in cond]
    if not rows:  # refused when the conditions are read
        return noise
    rows[0].check(noise)
    return blend_start(noise.transpose(0, 1)[None], rows[0].conditions, config)[0].transpose(0, 1)
