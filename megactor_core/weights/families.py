"""How each family's weights are published: its checkpoint, and what lies beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..models.config import ModelConfig
from ..models.families import MEGACTOR, MEGACTOR_SIGMA, XPORTRAIT
from .compvis import split_xportrait
from .layout import SplitCheckpoint, split_checkpoint


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        kind: name of its checkpoint among ``layout.KINDS``.
        config: of the published model; what shapes do not tell is taken from it.
        split: sorts the checkpoint's keys by network.
        places: files and folders beside the checkpoint that may hold a network, in order of preference. For
            networks of the checkpoint these are the weights that training started from.
        own_files: networks of which a file of their own goes before the checkpoint's copy.
    """

    kind: str
    config: ModelConfig
    split: Callable[[Iterable[str]], SplitCheckpoint]
    places: Mapping[str, tuple[str, ...]]
    own_files: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What users call it, and the catalogue."""
        return self.config.family


FAMILIES: tuple[Family, ...] = (
    Family(
        kind="megactor",
        config=MEGACTOR,
        split=split_checkpoint,
        places={
            "denoiser": ("StableDiffusion/unet",),
            "reference_network": ("appearance_encoder/appearance_encoder",),
            "vae": ("sd-vae-ft-mse",),
            "image_encoder": ("StableDiffusion/image_encoder",),
        },
        own_files=frozenset({"vae"}),
    ),
    Family(
        kind="megactor_sigma",
        config=MEGACTOR_SIGMA,
        split=split_checkpoint,
        places={
            "denoiser": ("StableDiffusion/unet",),
            "reference_network": (),
            "vae": ("sd-vae-ft-mse",),
            "constant_context": ("sd15_empty_str_embedding.pt",),
            "audio_encoder": ("whisper_tiny.pt", "whisper-tiny"),
        },
        own_files=frozenset({"vae"}),
    ),
    Family(
        kind="xportrait",
        config=XPORTRAIT,
        split=split_xportrait,
        places={
            "denoiser": ("StableDiffusion/unet",),
            "reference_network": (),
            "face_control": (),
            "patch_control": (),
            "vae": ("vae",),
            "constant_context": ("sd15_empty_str_embedding.pt",),
        },
    ),
)
"""Families whose weights can be converted."""
