"""Batches of puppet clips for the denoiser: reference, targets, and a driver of another identity."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...puppets.clips import puppet_faces
from ...puppets.identity import sample_identity
from ...puppets.motion import FloatArray, at_rest, sample_motion, sample_pose
from ...puppets.renderer import Puppet, PuppetFrame
from ...puppets.sound import mouth_sound
from ...puppets.speaking import EMOTION, speak
from ...puppets.speech.corpus import SpeechCorpus
from ...seeds import SPEECH, Split, clip_generator
from ..config.puppets import PuppetClipsConfig
from .loader import Batch
from .pictures import feature_weights
from .sample import ClipSample, SampleFormat, make_sample, sound_around


class PuppetClips(Dataset[Batch]):
    """Item ``i`` is a batch of R identities with F frames each (S: size, L: size of the latents).

    - what ``make_sample`` gives, with a first axis of length R; the driver is another identity with the same
      motion, and its sound is that of its mouth: speech of the config's corpus, of which each frame hears its
      own moment, or a hum, see ``mouth_sound``
    - ``motion`` float32 (R, F, 15), that of the driver
    - ``reference_points`` float32 (R, P, 2) and ``target_points`` float32 (R, F, P, 2): the same points of a
      face, in sides of the picture

    ``feature_weight`` is the weight around eyes, brows and mouth.

    Args:
        config: sizes and rates.
        seed: seed of the data.
        split: "train" or "held-out".
        wanted: what the model asks for; of the config's size.

    Raises:
        InputError: the corpus of speech cannot be used.
    """

    def __init__(
        self,
        config: PuppetClipsConfig,
        seed: int,
        split: Split,
        wanted: SampleFormat,
        feature_weight: float = 1.0,
    ) -> None:
        self.config, self.seed, self.split = config, seed, split
        self.wanted, self.feature_weight = wanted, feature_weight
        self.corpus = None
        if config.speech is not None:
            self.corpus = SpeechCorpus.read(config.speech)
            self.corpus.of_split(split)

    def __getitem__(self, index: int) -> Batch:
        count = self.config.references
        samples = [self._draw(index * count + i) for i in range(count)]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def _draw(self, index: int) -> dict[str, Tensor]:
        config, mode = self.config, self.wanted.mode
        rng = clip_generator(self.seed, index, self.split)
        puppet, driver = (Puppet(sample_identity(rng), config.size) for _ in range(2))
        pose = sample_pose(rng)
        reference = puppet.frame(pose)
        motion = sample_motion(rng, config.frames, config.frame_rate)
        whole = rng.random() < config.whole_frame_rate
        if rng.random() < config.small_motion_share:
            motion = pose + np.float32(rng.random()) * (motion - pose)
        modality = self.wanted.modality(self.seed, index, self.split)
        hides_mouth = modality is not None and not modality.shows_mouth
        # A mood is seen on the mouth alone: where the driver does not show it, nothing tells of it.
        motion, sound, start = self._spoken(index, motion, 0.0 if hides_mouth else EMOTION)
        driving, aligned = motion, None
        if hides_mouth:
            # Outline and size of a head follow its jaw: they would tell of a mouth that is not shown.
            driving = at_rest(motion)
            aligned = puppet.frame(driving[mode.anchor]).landmarks
        augmentation = self.wanted.augmentation(self.seed, index, self.split)
        self_driven = augmentation is not None and augmentation.self_driven
        driver = puppet if self_driven else driver
        still = modality is not None and modality.draw.still
        targets = [puppet.frame(pose) for pose in (at_rest(motion) if still else motion)]
        drivers = [driver.frame(pose) for pose in driving]
        if aligned is None:
            aligned = targets[mode.anchor].landmarks
        boxes, landmarks = (np.stack([getattr(one, name) for one in drivers]) for name in _FACTS)
        clip = ClipSample(
            reference=reference.image,
            foreground=reference.mask,
            targets=[target.image for target in targets],
            drivers=[one.image for one in drivers],
            faces=puppet_faces(config.size, boxes, landmarks, aligned, whole=whole),
            landmarks=[target.landmarks for target in targets],
            sound=sound,
            sound_start=start,
            frame_rate=Fraction(config.frame_rate),
            augmentation=augmentation,
            self_driven=self_driven,
        )
        weights = np.stack([self._weights(target.landmarks) for target in targets])
        return {
            **make_sample(clip, self.wanted, weights, modality),
            "motion": torch.from_numpy(driving),
            "reference_points": self._points([reference])[0],
            "target_points": self._points(targets),
        }

    def _spoken(
        self, index: int, motion: FloatArray, emotion: float
    ) -> tuple[FloatArray, FloatArray | None, float]:
        """The motion, with a mouth that speaks; its sound, and the moment of the first frame in that."""
        config = self.config
        if self.corpus is None:
            return motion, mouth_sound(motion, config.frame_rate) if self.wanted.hears else None, 0.0
        # From a generator of its own, so that the other clips stay as they are.
        rng = clip_generator(self.seed, index, self.split, SPEECH)
        seconds = config.frames / config.frame_rate
        if rng.random() >= config.speech_share:
            return motion, sound_around(np.zeros(0, np.float32), 0.0, seconds)[0], 0.0
        spoken = speak(
            motion,
            rng,
            self.corpus,
            self.split,
            config.frame_rate,
            coupling=config.mouth_coupling,
            emotion=emotion,
        )
        return spoken.motion, *sound_around(spoken.sound, spoken.start, seconds)

    def _points(self, pictures: Sequence[PuppetFrame]) -> Tensor:
        """The same points of the face in pictures, float32 (n, 68, 2), in sides of the picture."""
        return torch.from_numpy(np.stack([one.landmarks for one in pictures]) / np.float32(self.config.size))

    def _weights(self, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = landmarks * (self.wanted.latent_size / self.config.size)
        return feature_weights(scaled, self.wanted.latent_size, self.feature_weight)


_FACTS = ("face_box", "landmarks")
