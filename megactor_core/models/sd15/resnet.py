"""Residual blocks, whose GroupNorms may share their statistics over the frames of a window."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from ..attention import Pass, repeat_rows


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm over ``(frames, group channels, height, width)`` of each row.

    Input and output ``(rows * frames, channels, height, width)``. In channels-last memory the frames of a row
    stacked along the height are the same bytes, so the ordinary kernel serves without a copy.
    """

    def forward(self, hidden_states: Tensor, num_frames: int) -> Tensor:  # type: ignore[override]
        if num_frames == 1:
            return super().forward(hidden_states)
        batch, channels, height, width = hidden_states.shape
        stacked = hidden_states.permute(0, 2, 3, 1).reshape(-1, num_frames * height, width, channels)
        normed = super().forward(stacked.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return normed.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


class ResnetBlock(ResnetBlock2D):
    """SD1.5 residual block, applied per frame, normalised over the clip (MegActor) or per frame."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_embed_dim: int,
        groups: int,
        norm_over_frames: bool = True,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=time_embed_dim,
            groups=groups,
            eps=1e-5,
        )
        self.norm_over_frames = norm_over_frames
        self.norm1 = ClipGroupNorm(groups, in_channels, eps=1e-5)
        self.norm2 = ClipGroupNorm(groups, out_channels, eps=1e-5)

    def forward(self, hidden_states: Tensor, shared: Pass) -> Tensor:
        normed_together = shared.num_frames if self.norm_over_frames else 1
        inner = self.conv1(F.silu(self.norm1(hidden_states, normed_together)))
        embedding = self.time_emb_proj(shared.embedding)
        if embedding.ndim == 3:  # one per frame
            embedding = repeat_rows(embedding.flatten(0, 1), inner.shape[0])
        elif embedding.shape[0] > 1:
            embedding = embedding.repeat_interleave(shared.num_frames, dim=0)
        inner = self.norm2(inner + embedding[:, :, None, None], normed_together)
        inner = self.conv2(F.silu(inner))
        shortcut = hidden_states if self.conv_shortcut is None else self.conv_shortcut(hidden_states)
        return shortcut + inner
