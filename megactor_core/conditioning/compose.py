"""One composer of conditions: what is known of one clip or of many, as what the denoiser reads.

Everything is a tensor with a row per clip, and gradients reach whatever network encodes a condition. Which
encoders a model has is known here alone: who trains or measures a model names none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..models.conditions import Conditions
from ..vision.modes.hints import FACE
from ..vision.modes.mode import GREY
from .audio import batch_features, compose_audio
from .background import compose_context
from .control import compose_hints
from .driving import compose_driving, no_driving_channels
from .reference import compose_reference

if TYPE_CHECKING:  # building networks takes seconds to import
    from ..models.config import ModelConfig
    from ..models.networks import Networks


@dataclass(frozen=True)
class Clips:
    """Batch of R clips of F frames (S: size, h, w: of the latents), on the networks' device.

    Attributes:
        pictures: reference pictures (R, 3, S, S) in [0, 1].
        background_masks: (R, 1, h, w), 1 = background.
        mean: scaled posterior means of the references, (R, channels, h, w).
        concatenated: scaled latents that join the noisy ones where a model takes some, of the same shape: the
            means or samples.
        shown: pictures of the driver by the names of ``DrivingMode.pictures``, 0..255 of any real type: grey
            (R, F, S, S), hints of ControlNets (R, F, 3, S, S).
        backgrounds: CLIP pixels (R, 3, C, C), see ``background.clip_pixels``; None where none is read.
        sound: float32 (R, samples), 16 kHz mono; None for a model that hears nothing, or with features.
        sound_rows: int64 (R, F, n), see ``audio.frame_rows``.
        sound_features: of the sound, as ``audio.batch_features`` gives them, where they are known already.
        sound_weight: factor of the audio attention, (R,); None is 1.
    """

    pictures: Tensor
    background_masks: Tensor
    mean: Tensor
    concatenated: Tensor
    shown: Mapping[str, Tensor]
    backgrounds: Tensor | None = None
    sound: Tensor | None = None
    sound_rows: Tensor | None = None
    sound_features: Tensor | None = None
    sound_weight: Tensor | None = None


@dataclass(frozen=True)
class Kept:
    """Masks of the rows that keep a condition, bool (R,) each; None: all do.

    Attributes:
        reference: the others are predicted without the reference network, see ``training.tasks.prediction``.
        background: the others read tokens of zero; constant tokens are never dropped.
        driver: the others see black frames, and their ControlNets add nothing.
        sound: the others hear features of zero.
        controls: by ControlNet, those it adds something to, of the rows that keep the driver; one that is not
            named is not called at all. None: each is called for all rows.
    """

    reference: Tensor | None = None
    background: Tensor | None = None
    driver: Tensor | None = None
    sound: Tensor | None = None
    controls: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Composed:
    """The conditions of a batch.

    Attributes:
        conditions: of all rows.
        driving_features: encoded driving frames, (R * F, width, h, w): before the portrait modulates them, or
            as hints of the face's ControlNet; None where that is not called.
    """

    conditions: Conditions
    driving_features: Tensor | None


def compose(config: ModelConfig, networks: Networks, clips: Clips, kept: Kept) -> Composed:
    """Compose the conditions of clips for a model; with gradients where they are enabled."""
    denoiser = networks.denoiser
    context = compose_context(networks, clips.backgrounds, kept.background)
    reference = compose_reference(
        denoiser,
        clips.pictures,
        masks=clips.background_masks,
        mean=clips.mean,
        concatenated=clips.concatenated if config.concatenated_reference else None,
    )
    features: Tensor | None = None
    num_frames = next(iter(clips.shown.values())).shape[1]
    driving = no_driving_channels(num_frames, reference)
    encoder = denoiser.driving_encoder
    if encoder is not None:
        grey = clips.shown[GREY]
        if kept.driver is not None:
            grey = grey * kept.driver.to(grey.device)[:, None, None, None]
        grey = grey if grey.is_floating_point() else grey.float()
        driving, features = compose_driving(encoder, grey, reference.modulation)
    shown = dict.fromkeys(networks.controls, kept.driver)
    if kept.controls is not None:
        shown = {
            name: mask if kept.driver is None else mask & kept.driver for name, mask in kept.controls.items()
        }
    called = {name: networks.controls[name] for name in shown}
    hints = {name: clips.shown[name].to(clips.mean) / 127.5 - 1 for name in called}
    controls = compose_hints(called, hints, shown)
    if FACE in controls:
        features = controls[FACE].features
    audio = None
    if networks.audio_encoder is not None:
        assert clips.sound_rows is not None
        heard = clips.sound_features
        if heard is None:
            assert clips.sound is not None
            heard = batch_features(networks.audio_encoder, clips.sound)
        audio = compose_audio(networks.audio_encoder, heard, clips.sound_rows, kept.sound, clips.sound_weight)
    return Composed(Conditions(reference, context, driving, audio, controls=controls), features)


def driving_width(config: ModelConfig) -> int:
    """Width of ``Composed.driving_features``; 0 where there are none."""
    if config.control_network is not None:
        return config.control_network.block_out_channels[0]
    return 0 if config.driving_encoder is None else config.driving_encoder.channels[-1]
