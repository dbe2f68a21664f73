"""Encoder of raw driving frames, which the reference picture may modulate."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .encoder_config import DrivingEncoderConfig

SILU_GAIN = 1.68
"""1 / sqrt(E[silu(x)^2]) for unit-normal x: keeps the signal's size through a stack without norms. PyTorch's
own initialisation would let it vanish, and with it all motion."""


class DrivingEncoder(nn.Module):
    """Per-frame convolutions to one eighth of the resolution; scale and shift may come from the reference.

    Source: MegActor (arXiv 2405.20851), "DrivenEncoder"; MegActor-Sigma's has no reference branch. Nothing
    here depends on noise or timestep, so a sampler calls it once per clip, in chunks of frames.
    """

    def __init__(self, config: DrivingEncoderConfig) -> None:
        super().__init__()
        self.reference_size = config.reference_size
        stages, before = [], 3
        for index, width in enumerate(config.channels):
            last = index == len(config.channels) - 1
            stages.append(
                nn.Sequential(
                    nn.Conv2d(before, before, 3, padding=1),
                    nn.SiLU(),
                    nn.Conv2d(before, width, 3, padding=1) if last else nn.Conv2d(before, width, 4, 2, 1),
                    nn.SiLU(),
                )
            )
            before = width
        self.spatial_conv_layers = nn.ModuleList(stages)
        self.spatial_conv_out = nn.Conv2d(before, config.out_channels, 1)
        self.black_unconditional = config.black_unconditional
        self.modulates = bool(config.reference_channels)
        if self.modulates:
            self._add_reference_branch(config)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=SILU_GAIN / math.sqrt(layer.weight[0].numel()))
                nn.init.zeros_(layer.bias)

    def _add_reference_branch(self, config: DrivingEncoderConfig) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for inner, outer in config.reference_channels:
            layers += [nn.Conv2d(channels, inner, 3, padding=1), nn.SiLU()]
            layers += [nn.Conv2d(inner, outer, 4, 2, 1), nn.SiLU()]
            channels = outer
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 4),
            nn.SiLU(),
        ]
        self.refer_convs = nn.Sequential(*layers)
        self.refer_linears = nn.Sequential(nn.Linear(channels, config.modulation_dim), nn.SiLU())
        last_linear = nn.Linear(config.modulation_dim, 2 * config.channels[-1])
        nn.init.zeros_(last_linear.weight)
        nn.init.zeros_(last_linear.bias)
        self.refer_linears_out = nn.Sequential(last_linear)

    def modulation(self, reference_image: Tensor) -> Tensor:
        """Scale and shift ``(rows, 2 * width)`` from a picture ``(rows, 3, size, size)`` in [0, 1].

        ``size`` is ``reference_size``: 512 in the official model. Without a reference branch ``(rows, 0)``.
        """
        if not self.modulates:
            return reference_image.new_empty(reference_image.shape[0], 0)
        features = self.refer_convs(reference_image * 2 - 1).flatten(1)
        return self.refer_linears_out(self.refer_linears(features))

    def features(self, driving_frames: Tensor) -> Tensor:
        """Unmodulated features ``(rows * frames, width, height / 8, width / 8)`` of frames in [0, 1]."""
        hidden_states = driving_frames.transpose(1, 2).flatten(0, 1) * 2 - 1
        for stage in self.spatial_conv_layers:
            hidden_states = stage(hidden_states)
        return hidden_states

    def modulate(self, features: Tensor, modulation: Tensor, num_frames: int) -> Tensor:
        """Scale and shift, if there is a modulation, and reduce to ``(rows, out_channels, frames, h, w)``."""
        if self.modulates:
            scale, shift = modulation.repeat_interleave(num_frames, dim=0)[:, :, None, None].chunk(2, dim=1)
            features = torch.addcmul(features + shift, features, scale)
        return self.spatial_conv_out(features).unflatten(0, (-1, num_frames)).transpose(1, 2)

    def forward(self, driving_frames: Tensor, modulation: Tensor) -> Tensor:
        """Encode frames ``(rows, 3, frames, height, width)`` in [0, 1]; see ``modulation``."""
        return self.modulate(self.features(driving_frames), modulation, driving_frames.shape[2])
