"""Amplitudes of what is encoded: expression and speech."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..models.conditions import Conditions
from ..motion import Amplitude


def scale_conditions(conditions: Conditions, amplitude: Amplitude) -> Conditions:
    """Conditions in which expression and speech count more or less; the head's motion is in them already.

    The expression's amplitude moves the encoded driver of every frame away from, or towards, that of the rest
    frame: the one nearest to the clip's mean.

    Raises:
        InputError: keyframes of another length than the clip.
    """
    driving, audio = conditions.driving, conditions.audio
    features = driving.features
    expression = torch.from_numpy(amplitude.frames("expression", conditions.num_frames)).to(features)
    if features.shape[1] and not (expression == 1).all():
        distances = (features - features.mean(dim=2, keepdim=True)).float().square().sum(dim=(0, 1, 3, 4))
        rest = features[:, :, [int(distances.argmin())]].expand_as(features)
        scaled = torch.lerp(rest, features, expression[:, None, None].expand_as(features))
        driving = replace(driving, features=scaled)
    if audio is not None:
        speech = torch.from_numpy(amplitude.frames("speech", conditions.num_frames))
        audio = replace(audio, weight=speech.to(audio.weight))
    return replace(conditions, driving=driving, audio=audio)
