"""One guided prediction for a whole clip: windows, guidance, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..conditioning.conditions import Conditions
from ..models.attention import KeyValues
from ..models.reference import ReferenceNetwork
from ..models.unet import DenoisingUNet
from .windows import WindowWeights, window_weights


class ClipDenoiser:
    """Predicts noise (or velocity) of all frames at a timestep.

    Keys and values of the background tokens are projected once per clip, those of the reference once per step
    for all windows. Both guidance rows share everything up to the first block that reads the reference.
    Predictions of overlapping windows are averaged per frame.
    """

    def __init__(
        self,
        denoiser: DenoisingUNet,
        reference_network: ReferenceNetwork,
        conditions: Conditions,
        windows: list[list[int]],
        guidance_scale: float,
        weights: WindowWeights = "flat",
    ) -> None:
        self.denoiser = denoiser
        self.reference_network = reference_network
        self.conditions = conditions
        self.windows = windows
        self.guidance_scale = guidance_scale
        self.weights = torch.tensor(window_weights(len(windows[0]), weights))
        tokens = conditions.background.tokens
        self.context = denoiser.context_keys_values(tokens)
        self.reference_context = reference_network.context_keys_values(tokens)

    def predict(
        self, latents: Tensor, timestep: Tensor, on_window: Callable[[int], None] | None = None
    ) -> Tensor:
        """Guided prediction.

        Args:
            latents: noisy latents ``(1, channels, frames, h, w)``, any float type.
            timestep: ``(1,)``.
            on_window: called before every window with its number; raise in it to cancel.

        Returns:
            Shape and type of ``latents``.
        """
        dtype = self.conditions.reference.latents.dtype
        bank = self.reference_network(self.conditions.reference.latents, timestep, self.reference_context)
        reference = self.denoiser.reference_keys_values(bank)
        total = torch.zeros_like(latents)
        visits = torch.zeros(latents.shape[2], dtype=latents.dtype, device=latents.device)
        weights = self.weights.to(visits)
        for number, indices in enumerate(self.windows):
            if on_window is not None:
                on_window(number)
            sample = torch.cat(
                [latents[:, :, indices].to(dtype), self.conditions.static_channels(indices)], dim=1
            )
            prediction = self._guided(sample, timestep, reference, latents.dtype)
            total[:, :, indices] += prediction * weights[:, None, None]
            visits[indices] += weights
        return total / visits[:, None, None]

    def _guided(
        self, sample: Tensor, timestep: Tensor, reference: Mapping[str, KeyValues], dtype: torch.dtype
    ) -> Tensor:
        if self.guidance_scale == 1:
            return self.denoiser.denoise(sample, timestep, self.context, reference).to(dtype)
        rows = self.denoiser.denoise(sample, timestep, self.context, reference, rows=2, reading_rows=1)
        unconditional, conditional = rows.to(dtype).chunk(2)
        return torch.lerp(unconditional, conditional, self.guidance_scale)
