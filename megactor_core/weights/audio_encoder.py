"""Folder of an audio encoder that was trained by itself: weights and configuration."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ..errors import InputError
from ..models.encoder_config import AUDIO_ENCODER_KIND, AudioEncoderConfig, ConvAudioEncoderConfig
from ..validation import explain

ENCODER = "audio_encoder"
"""Stem of its files."""


def read_encoder_config(folder: Path) -> AudioEncoderConfig | ConvAudioEncoderConfig:
    """Configuration in a folder with ``audio_encoder.safetensors`` and its ``.json``.

    Raises:
        InputError: the file is missing or is of something else.
    """
    path = folder / f"{ENCODER}.json"
    try:
        return AUDIO_ENCODER_KIND.read(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError(path, problem, "Train one with configs/train/demo_ear.yaml") from error
    except (ValueError, RecursionError) as error:
        reason = explain(error, AudioEncoderConfig) if isinstance(error, ValidationError) else str(error)
        problem = f"is not the configuration of an audio encoder ({reason})"
        raise InputError(path, problem, "Train it again") from error
