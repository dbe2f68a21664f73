"""Sound as the denoiser hears it: an encoder's hidden states around the moment of every frame."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..hearing.features import ROWS_PER_SECOND, audio_features
from ..models.conditions import AudioCondition
from ..models.encoder_config import ROWS_AFTER, ROWS_BEFORE

if TYPE_CHECKING:  # transformers take seconds to import, also in workers that hear nothing
    from ..models.audio_encoder import SpeechEncoder


def frame_rows(count: int, times: Iterable[Fraction]) -> Tensor:
    """Rows of features that every frame hears, int64 ``(frames, 10)``; beyond the ends the outermost repeat.

    Args:
        count: rows of the features.
        times: of the frames, in seconds.
    """
    centres = torch.tensor([int(time * ROWS_PER_SECOND) for time in times])
    offsets = torch.arange(-ROWS_BEFORE, ROWS_AFTER + 1)
    return (centres[:, None] + offsets).clamp(0, count - 1)


def batch_features(encoder: SpeechEncoder, waveforms: Tensor) -> Tensor:
    """``audio_features`` of sounds ``(clips, samples)``: ``(clips, moments, states, width)``."""
    return torch.stack([audio_features(encoder, waveform.cpu().numpy()) for waveform in waveforms])


def compose_audio(
    encoder: SpeechEncoder,
    features: Tensor,
    rows: Tensor,
    shown: Tensor | None = None,
    weight: Tensor | None = None,
) -> AudioCondition:
    """The sound of one clip or of many, as their frames hear it.

    Args:
        encoder: that the features come from; its positions in the window are added where it has some.
        features: from ``batch_features``.
        rows: of every frame, int64 ``(clips, frames, n)``, from ``frame_rows``.
        shown: bool ``(clips,)``; the others hear features of zero, like the unconditional row of guidance,
            which are not silence. None lets all hear.
        weight: factor of the audio attention, ``(clips,)``; None is 1.
    """
    first = torch.arange(len(features), device=rows.device) * features.shape[1]
    heard = (rows + first[:, None, None]).flatten(0, 1).to(features.device)
    moments = features.flatten(0, 1)
    if encoder.window_positions is not None:
        # Tokens now depend on their place in the window: no two frames share one.
        moments = encoder.window_positions(moments[heard])
        if shown is not None:
            frames = shown.repeat_interleave(rows.shape[1])
            moments = moments * frames.to(moments)[:, None, None, None]
        heard = torch.arange(heard.numel(), device=heard.device).view(heard.shape)
        moments = moments.flatten(0, 1)
    elif shown is not None:
        clips = shown.repeat_interleave(features.shape[1])
        moments = moments * clips.to(moments)[:, None, None]
    weights = torch.ones(len(heard)).to(moments)
    if weight is not None:
        weights = weight.to(moments).repeat_interleave(rows.shape[1])
    return AudioCondition(moments, heard, weights)


@torch.inference_mode()
def encode_audio(
    encoder: SpeechEncoder,
    waveform: NDArray[np.float32],
    times: Iterable[Fraction],
    device: torch.device | None = None,
) -> AudioCondition:
    """The sound of a clip.

    Args:
        encoder, device: see ``audio_features``.
        waveform: ``(samples,)``, 16 kHz mono, about -1..1, from the clip's first moment to its end.
        times: of the frames, in seconds after the first.
    """
    features = audio_features(encoder, waveform, device)
    return compose_audio(encoder, features[None], frame_rows(len(features), times)[None])
