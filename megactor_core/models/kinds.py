"""Kinds of denoisers: for each its configuration, its network and the reference network that it reads.

Another architecture is a package beside these and an entry in ``DENOISERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..validation import ByKind
from .denoiser_config import DenoiserConfig
from .dit.config import DiTConfig
from .encoder_config import DrivingEncoderConfig
from .sd15.config import UNetConfig

if TYPE_CHECKING:  # configurations are read where nothing is computed
    from .denoiser import Denoiser, ReferenceWriter

    NetworkClasses = tuple[
        Callable[[Any, DrivingEncoderConfig | None], Denoiser], Callable[[Any], ReferenceWriter]
    ]


@dataclass(frozen=True)
class DenoiserKind:
    """A kind of denoiser.

    Attributes:
        config: class of the configurations of both networks, a frozen dataclass. Its ``kind`` is the key in
            ``DENOISERS``: a field, so that ``config.json`` says it.
        networks: imports the classes of denoiser, an ``nn.Module`` made from its configuration and the
            driving encoder's, and reference network, made from its own.
    """

    config: type[DenoiserConfig]
    networks: Callable[[], NetworkClasses]


def _unets() -> NetworkClasses:
    from .sd15.reference import ReferenceNetwork
    from .sd15.unet import DenoisingUNet

    return DenoisingUNet, ReferenceNetwork


def _transformers() -> NetworkClasses:
    from .dit.transformer import DenoisingTransformer, ReferenceTransformer

    return DenoisingTransformer, ReferenceTransformer


DENOISERS: dict[str, DenoiserKind] = {
    "unet": DenoiserKind(UNetConfig, _unets),
    "dit": DenoiserKind(DiTConfig, _transformers),
}
"""By ``kind``; the first where a configuration does not say, as those from before there was another."""


OF_ITS_KIND = ByKind(lambda: {name: kind.config for name, kind in DENOISERS.items()})
"""Marks a configuration that may be of any kind."""
