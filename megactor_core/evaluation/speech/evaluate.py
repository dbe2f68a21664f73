"""Evaluates what moves the mouth of a model: its own speech, another, silence, the driver's hidden mouth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ...animator import Animator
from ...media.pictures import Images
from ...puppets.speaking import sample_speaking_clip
from ...puppets.speech.corpus import SpeechCorpus
from ...sampling.sampler import SamplingSettings
from ...vision.modes.registry import MODES
from ..puppets.animation import PuppetAnimation, autoencode
from .drives import SpeakingPuppet, SpokenDrive, speaking_puppet
from .reading import SpeechReading, read_speech


@dataclass(frozen=True)
class SpeechSettings:
    """Settings of a test of speech.

    Attributes:
        seed: of the held-out clips.
        clips: their number.
        frames: frames of each, at 25 a second; at least ``lip_motion.FEWEST_FRAMES``.
        size: side of the pictures in pixels.
        parts: names of ``drives.PARTS``.
        driving_mode: how drivers are shown without their mouth: one of the model's modes.
        shown_mode: how they are shown with it.
        fit_frames: the mouth is read from every so many frames.
        bound_clips: the truth of so many clips is read too.
        sampling: how clips are sampled.
    """

    seed: int
    clips: int
    frames: int
    size: int
    parts: tuple[str, ...]
    driving_mode: str
    shown_mode: str
    fit_frames: int
    bound_clips: int
    sampling: SamplingSettings


def evaluate_speech(
    animator: Animator,
    settings: SpeechSettings,
    corpus: SpeechCorpus,
    on_clip: Callable[[SpeechReading, SpeakingPuppet, Mapping[str, Images]], object],
) -> None:
    """Evaluate clip after clip; a clip's numbers do not depend on how many there are.

    Args:
        animator: with a model that hears.
        settings: what to evaluate.
        corpus: speech whose held-out voices and texts are heard.
        on_clip: receives what was read of each clip, what drove it, and the animated frames by drive.

    Raises:
        InputError: sampling settings out of range; the corpus holds no held-out speech.
    """
    mode, shown_mode = MODES[settings.driving_mode], MODES[settings.shown_mode]
    for index in range(settings.clips):
        own, other = (
            sample_speaking_clip(settings.seed, number, settings.frames, corpus, "held-out")
            for number in (index, index + 1)
        )
        puppet = speaking_puppet(own, other, settings.size, mode, shown_mode, settings.parts)
        animation = PuppetAnimation(animator, puppet.reference, settings.sampling)
        reading, outputs = read_speech(
            index,
            own.utterance,
            puppet,
            partial(_paint, animation),
            partial(autoencode, animator),
            settings.fit_frames,
            index < settings.bound_clips,
        )
        on_clip(reading, puppet, outputs)


def _paint(animation: PuppetAnimation, spoken: SpokenDrive) -> Images:
    return animation.drive(spoken.drive, spoken.mode)
