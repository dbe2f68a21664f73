"""The sound's way to MegActor-Sigma's denoiser gives the reference's numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from formula import Case, weight
from parts import full_shape

from megactor_core.conditioning.audio import frame_rows
from megactor_core.hearing.features import audio_features, log_mel
from megactor_core.models.audio_encoder import AudioEncoder
from megactor_core.models.denoiser import KeyValues, gather_rows
from megactor_core.models.encoder_config import AudioEncoderConfig
from megactor_core.weights.layout import map_key

MANIFEST = Path(__file__).parents[1] / "golden" / "manifests" / "megactor_sigma_whisper_tiny.json"


def times(num_frames: int, rate: float) -> list[Fraction]:
    return [index / Fraction(rate) for index in range(num_frames)]


@pytest.mark.golden_case("whisper_windows", family="megactor_sigma")
def test_rows_of_every_frame(case: Case) -> None:
    table = case.table()
    for rate, expected in table["indices"].items():
        rows = frame_rows(table["feature_rows"], times(len(expected), float(rate)))
        assert rows.tolist() == expected
    features = case.input("features")
    spec = next(spec for name, spec in case.spec["outputs"].items() if name.startswith("chunks"))
    num_frames = (full_shape(spec.get("note", "")) or spec["shape"])[0]
    rows = frame_rows(len(features), times(num_frames, case.config["chunk_fps"]))
    tokens = gather_rows(KeyValues(features[:, None], features[:, None]), rows).key
    case.check_all({"chunks": tokens[:, 0]})


@pytest.mark.golden_case("whisper_features", family="megactor_sigma")
@torch.inference_mode()
def test_spectrogram_and_hidden_states(case: Case) -> None:
    encoder = AudioEncoder(AudioEncoderConfig(width=case.config["state"], heads=case.config["heads"]))
    for published in json.loads(MANIFEST.read_text()):
        key = map_key("audio_encoder", published)
        if key is not None and key != "embed_positions.weight":  # the published one is a buffer
            parameter = encoder.get_parameter(key)
            values = weight(case.salt, published, tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(values))
    signal = np.asarray(case.input("signal"))
    mel = log_mel(signal, encoder.config.num_mel_bins)
    case.check_all({"mel": mel, "features": audio_features(encoder.eval(), signal)})
