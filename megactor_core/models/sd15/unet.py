"""The SD1.5-shaped UNet: common trunk and the denoiser of clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import Pass, project
from ..denoiser import ONE_PICTURE, Control, KeyValues, Regions
from ..driving_encoder import DrivingEncoder
from ..encoder_config import DrivingEncoderConfig
from .attention import TransformerBlock, add_control
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


class DenoisingUNet(UNetTrunk):
    """The 3-D denoiser: SD1.5 inflated over frames, motion modules, reference attention.

    Source: MegActor (arXiv 2405.20851), section "Method"; official key names, see the manifests in the tests.
    ``condition_input_layer``, where there is one, is the driving encoder; it is called once per clip, outside
    ``forward``.
    """

    def __init__(self, config: UNetConfig, driving_encoder: DrivingEncoderConfig | None) -> None:
        super().__init__(config)
        self.conv_norm_out = ClipGroupNorm(config.norm_num_groups, config.block_out_channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(config.block_out_channels[0], config.out_channels, 3, padding=1)
        if driving_encoder is not None:
            self.condition_input_layer = DrivingEncoder(driving_encoder)

    @property
    def driving_encoder(self) -> DrivingEncoder | None:
        """Encoder of the driving frames; None where the driver enters otherwise."""
        return getattr(self, "condition_input_layer", None)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.conv_in.weight.device

    def reading_blocks(self) -> dict[str, TransformerBlock]:
        """Transformer blocks that read the reference."""
        return {name: b for name, b in self.transformer_blocks().items() if self.config.reads(name)}

    def reference_keys_values(self, bank: Mapping[str, Tensor]) -> dict[str, KeyValues]:
        """Keys and values of the reference tokens, ``{block name: (rows, tokens, width)}``.

        They depend on the timestep only, so a sampler asks for them once per step, for all windows.
        """
        return {name: project(block.attn1, bank[name]) for name, block in self.reading_blocks().items()}

    def audio_keys_values(self, tokens: Tensor) -> dict[str, KeyValues]:
        """Keys and values of the audio tokens of every frame, ``(rows * frames, tokens, audio_dim)``.

        They depend on nothing else, so a sampler asks for them once per clip.
        """
        blocks = self.transformer_blocks().items()
        return {name: project(block.attn_audio, tokens) for name, block in blocks if block.hears}

    def forward(self, *arguments: Any, **options: Any) -> Tensor:
        """Same as ``denoise``."""
        return self.denoise(*arguments, **options)

    def denoise(
        self,
        sample: Tensor,
        timestep: Tensor,
        context: Mapping[str, KeyValues],
        reference: Mapping[str, KeyValues] | None = None,
        *,
        rows: int | None = None,
        conditional_rows: int | None = None,
        reference_rows: int | None = None,
        audio: Mapping[str, KeyValues] | None = None,
        audio_weight: float | Tensor = 1.0,
        control: Control | None = None,
        motion: bool = True,
        reference_weight: float = 1.0,
        regions: Regions = ONE_PICTURE,
    ) -> Tensor:
        """Predict noise (or velocity) for a window of frames; see ``denoiser.Denoiser.denoise``."""
        clips, _, frames, _, _ = sample.shape
        if motion and self.config.motion_modules and frames > self.config.motion_max_positions:
            raise ValueError(
                f"a window of {frames} frames is longer than the model's "
                f"{self.config.motion_max_positions} positions"
            )
        rows = clips if rows is None else rows
        conditional_rows = rows if conditional_rows is None else conditional_rows
        shared = Pass(
            num_frames=frames,
            embedding=self.embed_time(timestep, sample.dtype),
            context=context,
            reference=reference or {},
            reference_weight=reference_weight,
            rows=rows,
            conditional_rows=conditional_rows,
            reference_rows=conditional_rows if reference_rows is None else reference_rows,
            audio=audio or {},
            audio_weight=audio_weight,
            control=control,
            motion=motion,
            hidden=self._of_levels(regions.hidden),
            sounding=self._of_levels(regions.sounding),
        )
        hidden_states = self.trunk(sample.transpose(1, 2).flatten(0, 1), shared)
        normed_together = frames if self.config.norm_over_frames else 1
        hidden_states = F.silu(self.conv_norm_out(hidden_states, normed_together))
        prediction = self.conv_out(hidden_states).unflatten(0, (-1, frames)).transpose(1, 2)
        return prediction if prediction.shape[0] == rows else prediction.expand(rows, -1, -1, -1, -1)

    def _of_levels(self, region: Tensor | None) -> dict[int, Tensor]:
        """A region ``(..., h, w)`` as ``(n, tokens)`` by the number of a level's tokens.

        A coarse cell belongs to it if any of its fine cells does.
        """
        found: dict[int, Tensor] = {}
        if region is None:
            return found
        cells = region.flatten(0, -3)[:, None].float()
        for _ in self.config.block_out_channels:
            found[cells[0].numel()] = cells.flatten(1)
            cells = F.max_pool2d(cells, 2, ceil_mode=True)
        return found
