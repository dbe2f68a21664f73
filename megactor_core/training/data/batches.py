"""The clips that a denoiser learns from, one clip per item."""

from __future__ import annotations

from torch.utils.data import Dataset

from ...models.config import ModelConfig
from ...seeds import Split
from ..config.tasks import DenoiserTaskConfig, PuppetClipsConfig
from .loader import Batch
from .puppets import PuppetClips
from .sample import SampleFormat


def clip_batches(
    config: DenoiserTaskConfig, model: ModelConfig, seed: int, split: Split, frames: int | None = None
) -> Dataset[Batch]:
    """Batches of a single clip each; see ``PuppetClips`` and ``training.data.shards.ShardClips``.

    Args:
        config: which data, and how much errors around eyes, brows and mouth weigh.
        model: tells what belongs to a sample, see ``SampleFormat``.
        seed: of the data.
        split: "train" or "held-out".
        frames: of each clip, if not as many as in training.

    Raises:
        InputError: the shards cannot be used.
    """
    single = {"references": 1, "frames": frames or config.data.frames}
    data = config.data.model_copy(update=single)
    wanted = SampleFormat.of(model, data.size, config.modalities, config.controls)
    if isinstance(data, PuppetClipsConfig):
        return PuppetClips(data, seed, split, wanted, config.feature_weight)
    from .shards import ShardClips

    return ShardClips(data, seed, wanted, split, config.feature_weight)
