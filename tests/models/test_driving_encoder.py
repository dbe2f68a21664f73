"""A fresh encoder of driving frames tells different frames apart, so that training can start from it."""

from __future__ import annotations

import torch

from megactor_core.models.driving_encoder import DrivingEncoder
from megactor_core.models.encoder_config import DrivingEncoderConfig


@torch.inference_mode()
def test_the_signal_survives_the_convolutions() -> None:
    torch.manual_seed(0)
    encoder = DrivingEncoder(DrivingEncoderConfig(reference_channels=((4, 8), (8, 8))))
    frames = torch.rand(1, 3, 8, 4, 4).repeat_interleave(16, -1).repeat_interleave(16, -2)
    output = encoder(frames, encoder.modulation(torch.rand(1, 3, 16, 16)))
    assert output.std(dim=2).mean() > 0.1
