"""A reader of mouths: what shape a mouth has that says what is heard."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..models.audio_encoder import SpeechEncoder, build_audio_encoder
from ..models.encoder_config import AudioEncoderConfig, ConvAudioEncoderConfig
from ..weights.audio_encoder import ENCODER, read_encoder_config
from ..weights.loading import load_network
from ..weights.saving import save_networks
from .features import ROWS_PER_SECOND, audio_features

MOUTH = ("open", "width", "smile")
"""What is read of a mouth: parameters of puppets, see ``puppets.motion``."""

_HEAD = "mouth_head"
_BUNDLED = Path(__file__).parents[1] / "weights" / "mouth_reader"


class MouthHead(nn.Linear):
    """Linear reading of a mouth, ``MOUTH``, from the features of a moment."""

    def __init__(self, config: AudioEncoderConfig | ConvAudioEncoderConfig) -> None:
        super().__init__(config.states * config.width, len(MOUTH))

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.weight *= 0.1  # the first mouths are closed ones, not noise

    def forward(self, features: Tensor) -> Tensor:
        """``(..., states, width)`` -> ``(..., 3)``."""
        return super().forward(features.flatten(-2))


@dataclass(frozen=True)
class MouthReader:
    """An audio encoder and a linear head, trained on synthetic speech by ``train`` (task ``mouth_reader``).

    Attributes:
        encoder: makes features of sound.
        head: reads the mouth from them.
    """

    encoder: SpeechEncoder
    head: MouthHead

    @torch.inference_mode()
    def read(self, sound: NDArray[np.float32], times: Sequence[float] | NDArray) -> NDArray[np.float32]:
        """Mouths that say a sound, float32 ``(frames, 3)``: ``MOUTH``, opening about 0..1, others -1..1.

        Args:
            sound: float32 ``(samples,)``, 16 kHz mono, about -1..1.
            times: of the frames, in seconds after the sound's first sample; between rows of features the
                reading is interpolated.
        """
        rows = self.head(audio_features(self.encoder, sound)).cpu().numpy()
        place = np.asarray(times, np.float64) * ROWS_PER_SECOND
        return np.stack([np.interp(place, np.arange(len(rows)), one) for one in rows.T], axis=1).astype(
            np.float32
        )


def save_mouth_reader(
    config: AudioEncoderConfig | ConvAudioEncoderConfig, reader: MouthReader, folder: Path | None
) -> None:
    """Write ``audio_encoder.safetensors`` and its ``.json``, and ``mouth_head.safetensors``, in fp16.

    ``folder`` is None on processes that only help to put weights together.

    Raises:
        InputError: the folder cannot be written.
    """
    networks = [(_HEAD, reader.head), (ENCODER, reader.encoder)]
    save_networks(networks, dataclasses.asdict(config), f"{ENCODER}.json", folder, torch.float16)  # type: ignore[arg-type]


def load_mouth_reader(folder: Path | None = None) -> MouthReader:
    """The reader of a folder that training wrote; without one, that which comes with the package.

    Raises:
        InputError: the folder holds no reader.
    """
    folder = folder or _BUNDLED
    config, encoder = load_audio_encoder(folder)
    head = MouthHead(config)
    load_network(head, folder, _HEAD, torch.device("cpu"), torch.float32)
    return MouthReader(encoder, head.eval())


def load_audio_encoder(folder: Path) -> tuple[Any, Any]:
    """Configuration and network, in fp32, of a folder with ``audio_encoder.safetensors`` and its ``.json``.

    Raises:
        InputError: the folder holds no audio encoder.
    """
    config = read_encoder_config(folder)
    encoder = build_audio_encoder(config)
    assert isinstance(encoder, nn.Module)
    load_network(encoder, folder, ENCODER, torch.device("cpu"), torch.float32)
    return config, encoder.eval()
