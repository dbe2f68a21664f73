"""One guided prediction for a whole clip: windows, guidance, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..conditioning.conditions import Conditions
from ..models.attention import Control, KeyValues, gather_rows
from ..models.controlnet import ControlNet, add_up
from ..models.reference import ReferenceNetwork
from ..models.unet import DenoisingUNet
from .windows import WindowWeights, window_weights


class ClipDenoiser:
    """Predicts noise (or velocity) of all frames at a timestep.

    Keys and values of context and sound are projected once per clip, those of the reference once per step for
    all windows. Both guidance rows share everything up to the first block where they differ. Predictions of
    overlapping windows are averaged per frame.
    """

    def __init__(
        self,
        denoiser: DenoisingUNet,
        reference_network: ReferenceNetwork,
        conditions: Conditions,
        guidance_scale: float,
        weights: WindowWeights = "flat",
        controls: Mapping[str, ControlNet] | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.reference_network = reference_network
        self.conditions = conditions
        self.guidance_scale = guidance_scale
        self.weights: WindowWeights = weights
        tokens = conditions.background.tokens
        self.context = denoiser.context_keys_values(tokens)
        self.reference_context = reference_network.context_keys_values(tokens)
        self.controls = {name: (controls or {})[name] for name in conditions.controls}
        self.control_contexts = {
            name: network.context_keys_values(tokens) for name, network in self.controls.items()
        }
        self.audio: Mapping[str, KeyValues] = {}
        if conditions.audio is not None:
            self.audio = denoiser.audio_keys_values(conditions.audio.features)

    def predict(
        self,
        latents: Tensor,
        timestep: Tensor,
        windows: list[list[int]],
        on_window: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Guided prediction.

        Args:
            latents: noisy latents ``(1, channels, frames, h, w)``, any float type.
            timestep: ``(1,)``.
            windows: frames of every window; of a frame that one repeats, the last prediction counts.
            on_window: called before every window with its number; raise in it to cancel.

        Returns:
            Shape and type of ``latents``.
        """
        reference = self._read_reference(timestep)
        strengths = {
            name: strength
            for name, control in self.conditions.controls.items()
            if (strength := control.use.at(int(timestep)))
        }
        total = torch.zeros_like(latents)
        visits = torch.zeros(latents.shape[2], dtype=latents.dtype, device=latents.device)
        for number, indices in enumerate(windows):
            if on_window is not None:
                on_window(number)
            prediction = self._guided(latents, timestep, indices, reference, strengths)
            places = {index: place for place, index in enumerate(indices)}
            frames, kept = list(places), list(places.values())
            weights = torch.tensor(window_weights(len(indices), self.weights)).to(visits)[kept]
            total[:, :, frames] += prediction[:, :, kept] * weights[:, None, None]
            visits[frames] += weights
        return total / visits[:, None, None]

    def _read_reference(self, timestep: Tensor) -> Mapping[str, KeyValues]:
        """Keys and values of all references together, one row."""
        bank = self.reference_network(self.conditions.reference.latents, timestep, self.reference_context)
        return self.denoiser.reference_keys_values(
            {name: tokens.flatten(0, 1)[None] for name, tokens in bank.items()}
        )

    def _guided(
        self,
        latents: Tensor,
        timestep: Tensor,
        indices: list[int],
        reference: Mapping[str, KeyValues],
        strengths: Mapping[str, float],
    ) -> Tensor:
        """Prediction for the frames of one window, ``(1, channels, len(indices), h, w)``."""
        guided = self.guidance_scale != 1
        static = self.conditions.static_channels(indices, guided)
        noisy = latents[:, :, indices].to(static.dtype).expand(len(static), -1, -1, -1, -1)
        rows = self.denoiser.denoise(
            torch.cat([noisy, static], dim=1),
            timestep,
            self.context,
            reference,
            rows=2 if guided else 1,
            reading_rows=1,
            control=self._control(noisy[-1].transpose(0, 1), timestep, indices, strengths),
            **self._sound(indices),
        ).to(latents.dtype)
        if not guided:
            return rows
        unconditional, conditional = rows.chunk(2)
        return torch.lerp(unconditional, conditional, self.guidance_scale)

    def _control(
        self, noisy: Tensor, timestep: Tensor, indices: list[int], strengths: Mapping[str, float]
    ) -> Control | None:
        """What the ControlNets add for the noisy frames ``(frames, channels, h, w)`` of a window."""
        controls = []
        for name, strength in strengths.items():
            features = self.conditions.controls[name].features[indices].to(noisy)
            control = self.controls[name](noisy, timestep, self.control_contexts[name], features)
            controls.append((control, strength))
        return add_up(controls) if controls else None

    def _sound(self, indices: list[int]) -> dict[str, Any]:
        audio = self.conditions.audio
        if audio is None:
            return {}
        rows = audio.rows[indices]
        projected = {name: gather_rows(pair, rows) for name, pair in self.audio.items()}
        return {"audio": projected, "audio_weight": audio.weight[indices]}
