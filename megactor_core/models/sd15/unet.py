"""The SD1.5-shaped UNet: common trunk and the denoiser of clips."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import Pass
from ..conditioned import ConditionedDenoiser
from ..driving_encoder import DrivingEncoder
from ..encoder_config import DrivingEncoderConfig
from .attention import add_control
from .blocks import UpLevel
from .config import UNetConfig
from .resnet import ClipGroupNorm
from .unet_encoder import UNetEncoder


class UNetTrunk(UNetEncoder):
    """A whole UNet up to its output layers, under their SD1.5 names."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        widths, skips = config.block_out_channels, list(self.skip_widths)
        before, last = widths[-1], len(widths) - 1
        up: list[UpLevel] = []
        for i, (width, attention) in enumerate(
            zip(reversed(widths), reversed(config.attention_levels), strict=True)
        ):
            taken = [skips.pop() for _ in range(config.layers_per_block + 1)]
            up.append(UpLevel(config, f"up_blocks.{i}", before, width, taken, attention, i < last))
            before = width
        self.up_blocks = nn.ModuleList(up)

    def trunk(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        """All levels on ``(n, in_channels, height, width)``; the output has the first width."""
        hidden_states, skips = self.encode(hidden_states, shared)
        if shared.control is not None:
            hidden_states = add_control(hidden_states, shared.control.middle, shared)
            skips = [add_control(*pair, shared) for pair in zip(skips, shared.control.skips, strict=True)]
        for level in self.up_blocks:
            hidden_states = level(hidden_states, skips, shared)
        return hidden_states


class DenoisingUNet(UNetTrunk, ConditionedDenoiser):
    """The 3-D denoiser: SD1.5 inflated over frames, motion modules, reference attention.

    Source: MegActor (arXiv 2405.20851), section "Method"; official key names, see the manifests in the tests.
    ``condition_input_layer``, where there is one, is the driving encoder; it is called once per clip, outside
    ``forward``.
    """

    def __init__(self, config: UNetConfig, driving_encoder: DrivingEncoderConfig | None) -> None:
        super().__init__(config)
        self.longest_window = config.motion_max_positions if config.motion_modules else None
        self.conv_norm_out = ClipGroupNorm(config.norm_num_groups, config.block_out_channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(config.block_out_channels[0], config.out_channels, 3, padding=1)
        if driving_encoder is not None:
            self.condition_input_layer = DrivingEncoder(driving_encoder)

    @property
    def driving_encoder(self) -> DrivingEncoder | None:
        """Encoder of the driving frames; None where the driver enters otherwise."""
        return getattr(self, "condition_input_layer", None)

    def reads(self, block: str) -> bool:
        """See ``ConditionedDenoiser.reads``."""
        return self.config.reads(block)

    def predict(self, frames: Tensor, shared: Pass) -> Tensor:
        """See ``ConditionedDenoiser.predict``."""
        normed_together = shared.num_frames if self.config.norm_over_frames else 1
        return self.conv_out(F.silu(self.conv_norm_out(self.trunk(frames, shared), normed_together)))

    def of_levels(self, region: Tensor) -> dict[int, Tensor]:
        """See ``ConditionedDenoiser.of_levels``: a coarse cell belongs to it if any of its fine ones does."""
        found: dict[int, Tensor] = {}
        cells = region.flatten(0, -3)[:, None].float()
        for _ in self.config.block_out_channels:
            found[cells[0].numel()] = cells.flatten(1)
            cells = F.max_pool2d(cells, 2, ceil_mode=True)
        return found
