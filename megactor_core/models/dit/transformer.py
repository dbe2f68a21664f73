"""The diffusion transformer: common trunk, the denoiser of clips, and the reference network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from diffusers.models.normalization import AdaLayerNormSingle
from torch import Tensor, nn

from ..attention import Pass, repeat_rows
from ..conditioned import ConditionedDenoiser, ConditionedNetwork
from ..denoiser import KeyValues
from ..driving_encoder import DrivingEncoder
from ..encoder_config import DrivingEncoderConfig
from ..recompute import call
from ..temporal import MotionModule
from .blocks import (
    ModulationTable,
    SpatialBlock,
    TemporalBlock,
    WrittenBlock,
    normalise,
    with_frame_positions,
)
from .config import MOTION_GROUPS, MOTION_INTERVAL, DiTConfig


class PatchEmbedding(nn.Module):
    """Tokens of a picture's patches and where they are in it; its edge is repeated to fill the last ones."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.width, config.patch_size, config.patch_size)
        self.base_size = config.sample_size // config.patch_size
        self.interpolation_scale = max(config.sample_size // 64, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """``(n, channels, h, w)`` -> ``(n, tokens, width)``, row by row."""
        height, width = pictures.shape[-2:]
        missing = (0, -width % self.patch_size, 0, -height % self.patch_size)
        patches = self.proj(F.pad(pictures, missing, mode="replicate") if any(missing) else pictures)
        height, width = patches.shape[-2:]
        positions = get_2d_sincos_pos_embed(
            patches.shape[1],
            (height, width),
            base_size=self.base_size,
            interpolation_scale=self.interpolation_scale,
            device=patches.device,
        )
        return patches.flatten(2).transpose(1, 2) + positions.to(patches)


def unpatchify(patches: Tensor, size: Sequence[int], patch: int) -> Tensor:
    """Pictures ``(n, channels, h, w)`` of patches ``(n, tokens, patch * patch * channels)``.

    Tokens and the cells of each come row by row, the channels of a cell together. What the last ones have
    beyond the picture is left out.
    """
    height, width = size
    cells = patches.unflatten(2, (patch, patch, -1)).unflatten(1, (-(-height // patch), -(-width // patch)))
    return cells.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


class TransformerTrunk(ConditionedNetwork):
    """Patch embedding, timestep and blocks under diffusers' names for PixArt-alpha."""

    input_layer = "pos_embed.proj"
    gradient_checkpointing = False

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.pos_embed = PatchEmbedding(config)
        self.adaln_single = AdaLayerNormSingle(config.width)
        self.transformer_blocks = nn.ModuleList(
            [
                SpatialBlock(f"transformer_blocks.{i}", config, i in config.hearing_blocks)
                for i in range(config.num_layers)
            ]
        )

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Trade time for memory while training."""
        self.gradient_checkpointing = enabled

    def embed_time(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        """Embedding ``(..., 8 * width)`` of timesteps of any shape: six parts for blocks, two for the end."""
        modulation, embedded = self.adaln_single(timestep.flatten(), hidden_dtype=dtype)
        return torch.cat([modulation, embedded, embedded], -1).unflatten(0, timestep.shape)

    def run(self, module: nn.Module, tokens: Tensor, shared: Pass) -> Tensor:
        """Call a block, dropping its activations until the backward pass where that is asked for."""
        return call(module, tokens, shared, recompute=self.gradient_checkpointing)

    def spread(self, shared: Pass) -> Pass:
        """The same with an embedding for all pictures together, or for each: ``(1 or n, width)``."""
        embedding = shared.embedding
        if embedding.ndim == 3:  # one per frame
            embedding = embedding.flatten(0, 1)
        elif embedding.shape[0] > 1:
            embedding = embedding.repeat_interleave(shared.num_frames, dim=0)
        return replace(shared, embedding=embedding)


class DenoisingTransformer(TransformerTrunk, ConditionedDenoiser):
    """The denoiser of clips: PixArt-alpha over frames, which reads reference, driver and sound.

    The driver joins the noisy latent before the patch embedding; from ``first_reading_block`` on the blocks
    read the reference transformer's tokens; sound enters every frame's tokens. Its shape is the project's
    own: MegActor-Sigma is a diffusion transformer in its paper (arXiv 2408.14975), but none was released.

    Source: PixArt-alpha (arXiv 2310.00426), Latte (arXiv 2401.03048) for the temporal blocks. The names are
    diffusers', but that temporal blocks are ``motion_modules`` as everywhere here.
    """

    def __init__(self, config: DiTConfig, driving_encoder: DrivingEncoderConfig | None) -> None:
        super().__init__(config)
        self.driving_encoder = None if driving_encoder is None else DrivingEncoder(driving_encoder)
        self.longest_window = config.motion_max_positions if config.temporal_blocks != "none" else None
        if config.temporal_blocks == "latte":
            names = [f"motion_modules.{i}" for i in range(config.num_layers)]
            self.motion_modules = nn.ModuleList([TemporalBlock(name, config) for name in names])
        elif config.temporal_blocks == "motion":
            heads, positions = config.num_attention_heads, config.motion_max_positions
            self.motion_modules = nn.ModuleList(
                [
                    MotionModule(config.width, heads, positions, MOTION_GROUPS)
                    for _ in range(config.num_layers // MOTION_INTERVAL)
                ]
            )
        self.scale_shift_table = ModulationTable(2, config.width)
        self.proj_out = nn.Linear(config.width, config.cells_per_token * config.out_channels)

    def reads(self, block: str) -> bool:
        """See ``ConditionedDenoiser.reads``."""
        return self.config.reads(block)

    def of_levels(self, region: Tensor) -> dict[int, Tensor]:
        """See ``ConditionedDenoiser.of_levels``: a token belongs to it if any of its cells does."""
        cells = region.flatten(0, -3)[:, None].float()
        cells = F.max_pool2d(cells, self.config.patch_size, ceil_mode=True)
        return {cells[0].numel(): cells.flatten(1)}

    def predict(self, frames: Tensor, shared: Pass) -> Tensor:
        """See ``ConditionedDenoiser.predict``."""
        patch, shared = self.config.patch_size, self.spread(shared)
        tokens = self.pos_embed(frames)
        tokens = repeat_rows(tokens, max(tokens.shape[0], shared.embedding.shape[0]))
        for index, block in enumerate(self.transformer_blocks):
            tokens = self.run(block, tokens, shared)
            if shared.motion:
                tokens = self.move(index, tokens, shared)
        shift, scale = self.scale_shift_table(shared.embedding[..., -2 * self.config.width :])
        return unpatchify(self.proj_out(normalise(tokens, scale, shift)), frames.shape[-2:], patch)

    def move(self, index: int, tokens: Tensor, shared: Pass) -> Tensor:
        """Let the frames know of each other behind a block, where something does."""
        if self.config.temporal_blocks == "latte":
            if index == 0:
                tokens = with_frame_positions(tokens, shared.num_frames)
            return self.run(self.motion_modules[index], tokens, shared)
        if self.config.temporal_blocks == "motion" and (index + 1) % MOTION_INTERVAL == 0:
            column = tokens.transpose(1, 2).unsqueeze(-1)  # a picture one token wide
            moved = self.run(self.motion_modules[index // MOTION_INTERVAL], column, shared)
            return moved.squeeze(-1).transpose(1, 2)
        return tokens


class ReferenceTransformer(TransformerTrunk):
    """The reference network: its blocks write the normalised tokens that the denoiser's read."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        last = config.num_layers - 1
        self.transformer_blocks[last] = WrittenBlock(f"transformer_blocks.{last}", config.width)

    def forward(
        self, latents: Tensor, timestep: Tensor, context: Mapping[str, KeyValues]
    ) -> dict[str, Tensor]:
        """Tokens ``{block name: (rows, tokens, width)}``; see ``denoiser.ReferenceWriter``."""
        written: dict[str, Tensor] = {}
        embedding = self.embed_time(timestep, latents.dtype)
        shared = self.spread(Pass(1, embedding, context=context, rows=latents.shape[0], written=written))
        tokens = self.pos_embed(latents)
        for block in self.transformer_blocks:
            tokens = self.run(block, tokens, shared)
        return {name: tokens for name, tokens in written.items() if self.config.reads(name)}
