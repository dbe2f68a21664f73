"""Batches of puppet clips for the denoiser: reference, targets, and a driver of another identity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...conditioning.background import clip_pixels
from ...conditioning.tensors import background_mask
from ...puppets.clips import driving_frames_condition
from ...puppets.identity import sample_identity
from ...puppets.motion import sample_motion, sample_pose
from ...puppets.renderer import Puppet
from ...seeds import Split, clip_generator
from ...vision.foreground import background_image
from ..config.tasks import PuppetClipsConfig
from .loader import Batch
from .pictures import feature_weights


class PuppetClips(Dataset[Batch]):
    """Item ``i`` is a batch of R identities with F frames each (S: size, L: size of the latents).

    - ``references`` uint8 (R, 3, S, S), ``targets`` uint8 (R, F, 3, S, S)
    - ``driving`` uint8 (R, F, S, S): the grey condition made from another identity with the same motion
    - ``background_masks`` float32 (R, 1, L, L), 1 = background
    - ``backgrounds`` float32 (R, 3, C, C), CLIP pixels
    - ``motion`` float32 (R, F, 15), ``weights`` float32 (R, F, L, L) of the error

    ``feature_weight`` is the weight around eyes, brows and mouth.

    Args:
        config: sizes and rates.
        seed: seed of the data.
        split: "train" or "held-out".
        latent_size: L.
        clip_size: C, side of the image encoder's input.
    """

    def __init__(
        self,
        config: PuppetClipsConfig,
        seed: int,
        split: Split,
        latent_size: int,
        clip_size: int,
        feature_weight: float = 1.0,
    ) -> None:
        self.config, self.seed, self.split = config, seed, split
        self.latent_size, self.clip_size, self.feature_weight = latent_size, clip_size, feature_weight

    def __getitem__(self, index: int) -> Batch:
        count = self.config.references
        samples = [self._draw(index * count + i) for i in range(count)]
        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def _draw(self, index: int) -> dict[str, Tensor]:
        config = self.config
        rng = clip_generator(self.seed, index, self.split)
        puppet, driver = (Puppet(sample_identity(rng), config.size) for _ in range(2))
        pose = sample_pose(rng)
        reference = puppet.frame(pose)
        motion = sample_motion(rng, config.frames, config.frame_rate)
        whole = rng.random() < config.whole_frame_rate
        if rng.random() < config.small_motion_share:
            motion = pose + np.float32(rng.random()) * (motion - pose)
        targets = [puppet.frame(pose) for pose in motion]
        foreground = reference.mask
        background = background_image(reference.image, foreground)
        return {
            "references": _channels_first(reference.image),
            "targets": _channels_first(np.stack([target.image for target in targets])),
            "driving": torch.from_numpy(self._drive(driver, motion, whole)),
            "background_masks": background_mask(foreground, (self.latent_size,) * 2)[0],
            "backgrounds": clip_pixels(background, self.clip_size)[0],
            "motion": torch.from_numpy(motion),
            "weights": torch.from_numpy(np.stack([self._weights(target.landmarks) for target in targets])),
        }

    def _weights(self, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = landmarks * (self.latent_size / self.config.size)
        return feature_weights(scaled, self.latent_size, self.feature_weight)

    @staticmethod
    def _drive(driver: Puppet, motion: NDArray[np.float32], whole: bool) -> NDArray[np.uint8]:
        frames = [driver.frame(pose) for pose in motion]
        boxes = np.stack([frame.face_box for frame in frames])
        return driving_frames_condition(np.stack([frame.image for frame in frames]), boxes, whole)


def _channels_first(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
