"""Down, middle and up levels of the SD1.5-shaped UNets, with or without motion modules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from ..attention import Pass, repeat_rows
from ..recompute import call
from ..temporal import MotionModule
from .attention import ReferenceTap, SpatialTransformer
from .config import UNetConfig
from .resnet import ResnetBlock


class Level(nn.Module):
    """Residual blocks, each followed by spatial transformer and motion module where the level has them."""

    gradient_checkpointing = False

    def __init__(self, config: UNetConfig, name: str, widths: list[tuple[int, int]], attention: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([_resnet(config, before, after) for before, after in widths])
        if attention:
            self.attentions = nn.ModuleList(
                [
                    _spatial_transformer(config, f"{name}.attentions.{i}", after)
                    for i, (_, after) in enumerate(widths)
                ]
            )
        if config.motion_modules:
            self.motion_modules = nn.ModuleList([_motion_module(config, after) for _, after in widths])

    def run(self, module: Callable[..., Tensor], *arguments: object) -> Tensor:
        """Call a block, dropping its activations until the backward pass where that is asked for."""
        return call(module, *arguments, recompute=self.gradient_checkpointing)

    def step(self, index: int, hidden_states: Tensor, shared: Pass, motion: bool = True) -> Tensor:
        """One residual block with what follows it; without its motion module where that comes later."""
        hidden_states = self.run(self.resnets[index], hidden_states, shared)
        for kind in ("attentions", "motion_modules") if motion else ("attentions",):
            if hasattr(self, kind):
                hidden_states = self.run(getattr(self, kind)[index], hidden_states, shared)
        return hidden_states


class DownLevel(Level):
    """A level that ends, except for the lowest, in a strided convolution."""

    def __init__(
        self, config: UNetConfig, name: str, in_channels: int, width: int, attention: bool, downsample: bool
    ) -> None:
        widths = [(in_channels if i == 0 else width, width) for i in range(config.layers_per_block)]
        super().__init__(config, name, widths, attention)
        self.downsamplers = nn.ModuleList(
            [Downsample2D(width, use_conv=True, name="op")] if downsample else []
        )

    def forward(self, hidden_states: Tensor, shared: Pass) -> tuple[Tensor, list[Tensor]]:
        """Returns the level's output and its skip tensors."""
        skips = []
        for index in range(len(self.resnets)):
            hidden_states = self.step(index, hidden_states, shared)
            skips.append(hidden_states)
        for downsampler in self.downsamplers:
            hidden_states = downsampler(hidden_states)
            skips.append(hidden_states)
        return hidden_states, skips


class MidLevel(Level):
    """Residual block, spatial transformer, perhaps a motion module, residual block at the lowest level."""

    def __init__(self, config: UNetConfig, name: str, width: int) -> None:
        nn.Module.__init__(self)
        self.resnets = nn.ModuleList([_resnet(config, width, width) for _ in range(2)])
        self.attentions = nn.ModuleList([_spatial_transformer(config, f"{name}.attentions.0", width)])
        if config.motion_modules and config.motion_in_middle:
            self.motion_modules = nn.ModuleList([_motion_module(config, width)])

    def forward(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        hidden_states = self.step(0, hidden_states, shared)
        return self.run(self.resnets[1], hidden_states, shared)


class UpLevel(Level):
    """A level whose blocks take a skip tensor each; it ends, except for the highest, in an upsampler."""

    def __init__(
        self,
        config: UNetConfig,
        name: str,
        in_channels: int,
        width: int,
        skip_channels: list[int],
        attention: bool,
        upsample: bool,
    ) -> None:
        widths = [(in_channels if i == 0 else width, width) for i in range(len(skip_channels))]
        widths = [(before + skip, after) for (before, after), skip in zip(widths, skip_channels, strict=True)]
        super().__init__(config, name, widths, attention)
        self.upsamplers = nn.ModuleList([Upsample2D(width, use_conv=True)] if upsample else [])
        self.motion_comes_last = upsample and config.motion_modules and config.motion_after_upsampler

    def forward(self, hidden_states: Tensor, skips: list[Tensor], shared: Pass) -> Tensor:
        """Pops its skip tensors from the end of ``skips``."""
        last = len(self.resnets) - 1
        for index in range(len(self.resnets)):
            skip = repeat_rows(skips.pop(), hidden_states.shape[0])
            motion = not (self.motion_comes_last and index == last)
            hidden_states = self.step(index, torch.cat([hidden_states, skip], dim=1), shared, motion)
        for upsampler in self.upsamplers:
            hidden_states = upsampler(hidden_states, tuple(skips[-1].shape[-2:]))
        if self.motion_comes_last:
            hidden_states = self.run(self.motion_modules[last], hidden_states, shared)
        return hidden_states


def _resnet(config: UNetConfig, before: int, after: int) -> ResnetBlock:
    time_embed_dim = config.block_out_channels[0] * 4
    return ResnetBlock(before, after, time_embed_dim, config.norm_num_groups, config.norm_over_frames)


def _spatial_transformer(config: UNetConfig, name: str, width: int) -> SpatialTransformer:
    heads, groups = config.num_attention_heads, config.norm_num_groups
    return SpatialTransformer(name, width, heads, config.cross_attention_dim, groups, config.audio_dim)


def _motion_module(config: UNetConfig, width: int) -> MotionModule:
    heads, groups = config.num_attention_heads, config.norm_num_groups
    return MotionModule(width, heads, config.motion_max_positions, groups)


def end_in_reference_tap(level: UpLevel, name: str, config: UNetConfig) -> None:
    """Cut the last attention of a reference network down to the norm whose tokens are read."""
    index = len(level.attentions) - 1
    level.attentions[index] = ReferenceTap(
        f"{name}.attentions.{index}", config.block_out_channels[0], config.norm_num_groups
    )
