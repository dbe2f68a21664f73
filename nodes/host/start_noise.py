"""What the native model changes about a sampling run: its start noise, and work done once per step."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import comfy.model_patcher
import comfy.model_sampling
import comfy.patcher_extension
import torch
from torch import Tensor

from ...megactor_core.sampling.noise import SHARED, frame_generator

RUN = "megactor_run"
"""Key of the ``Run`` in ``transformer_options``."""

Value = TypeVar("Value")


class Run:
    """Results that hold for one timestep of one sampling run."""

    def __init__(self) -> None:
        self._timestep: Hashable = None
        self._values: dict[Hashable, Any] = {}

    def once(self, key: tuple[Hashable, ...], compute: Callable[[], Value]) -> Value:
        """The value of ``key``, whose first part is the timestep; those of other timesteps are dropped."""
        if key[0] != self._timestep:
            self._timestep, self._values = key[0], {}
        if key not in self._values:
            self._values[key] = compute()
        return self._values[key]


class _StartNoise:
    """From an empty latent, noise of unit variance (times ``noise_scale``) at whatever sigma a run begins.

    The host scales by sigma alone below the highest one, which leaves DDIM's first step 0.1 % too small.
    """

    noise_scale: float

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        if torch.count_nonzero(latent_image) > 0:
            return super().noise_scaling(sigma, noise, latent_image, max_denoise)  # type: ignore[misc]
        scaled = noise * self.noise_scale
        return super().noise_scaling(sigma, scaled, latent_image, True)  # type: ignore[misc]


class _EpsilonSampling(_StartNoise, comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


class _VelocitySampling(
    _StartNoise, comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION
):
    pass


def model_sampling(
    config: Any, velocity: bool, noise_scale: float
) -> comfy.model_sampling.ModelSamplingDiscrete:
    """The host's noise schedule of a model."""
    sampling = (_VelocitySampling if velocity else _EpsilonSampling)(config)
    sampling.noise_scale = noise_scale
    return sampling


def add_run_wrapper(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Give every sampling run of the patcher its ``Run`` and the share of noise that all frames have."""
    patcher.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, RUN, _outer_sample)


def _outer_sample(executor: Any, noise: Tensor, *arguments: Any, **options: Any) -> Tensor:
    guider = executor.class_obj
    guider.model_options.setdefault("transformer_options", {})[RUN] = Run()
    seed = arguments[6] if len(arguments) > 6 else options.get("seed")
    share = guider.model_patcher.model.shared_noise
    if share > 0 and seed is not None and torch.count_nonzero(noise) > 0:
        common = torch.randn(noise.shape[1:], generator=frame_generator(seed % 2**63, SHARED)).to(noise)
        noise = common * share**0.5 + noise * (1 - share) ** 0.5
    return executor(noise, *arguments, **options)
