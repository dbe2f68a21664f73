"""The sound's way to MegActor-Sigma's denoiser gives the reference's numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from formula import Case

from megactor_core.conditioning.audio import audio_features, frame_rows, log_mel
from megactor_core.models.audio_encoder import AudioEncoder
from megactor_core.models.denoiser import KeyValues, gather_rows
from megactor_core.models.encoder_config import AudioEncoderConfig


def times(num_frames: int, rate: float) -> list[Fraction]:
    return [index / Fraction(rate) for index in range(num_frames)]


@pytest.mark.golden_case("whisper_windows", family="megactor_sigma")
def test_rows_of_every_frame(case: Case) -> None:
    table = case.table()
    for rate, expected in table["indices"].items():
        rows = frame_rows(table["feature_rows"], times(len(expected), float(rate)))
        assert rows.tolist() == expected
    features = case.input("features")
    spec = case.spec["outputs"]["chunks_every_48th_channel"]
    rows = frame_rows(len(features), times(spec["shape"][0], case.config["chunk_fps"]))
    tokens = gather_rows(KeyValues(features[:, None], features[:, None]), rows).key
    case.check("chunks_every_48th_channel", tokens[:, 0, :, ::48])


@pytest.mark.golden_case("whisper_features", family="megactor_sigma")
@torch.inference_mode()
def test_spectrogram_and_hidden_states(case: Case) -> None:
    encoder = AudioEncoder(AudioEncoderConfig(width=case.config["state"], heads=case.config["heads"]))
    case.fill(encoder, "encoder.")
    signal = case.input("signal")
    case.check("mel", log_mel(signal, encoder.config.bands))
    case.check("features", audio_features(encoder, np.asarray(signal)))
