"""The steps of an animation, each on its own, on a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..media.source import DrivingSource
from ..models.conditions import Conditions, ControlStrength, ReferenceCondition
from ..motion import AS_DRIVEN, Amplitude, Liveliness
from ..sampling.sampler import Progress, SamplingSettings, Step, sample
from ..vision.coarse_landmarks import CoarseLandmarker
from ..vision.crops import checked_size
from ..vision.driving import PreparedDriving, prepare_driving
from ..vision.faces import Detector
from ..vision.landmarks import Landmarker
from ..vision.person_segmenter import Segmenter
from ..vision.portrait import Portrait, segment_reference
from ..vision.still import still_driving
from .backend import Backend
from .checks import checked_mode
from .encode import encode_conditions, encode_reference


class AnimationSteps:
    """Looks, conditions, samples and decodes.

    Args:
        backend: holds the networks.
        detector, landmarker: find faces and their landmarks.
        segmenter: tells people from background.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        detector: Detector | None = None,
        landmarker: Landmarker | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        self.backend = backend
        self.config = backend.config
        self.detector = detector
        self.landmarker = landmarker
        self.segmenter = segmenter

    @property
    def size(self) -> int:
        """Side of the square the model was made for, in pixels."""
        return self.config.defaults.size

    def settings(self, **changes: Any) -> SamplingSettings:
        """The model's sampling defaults with changes; see ``SamplingSettings``."""
        settings = SamplingSettings.from_defaults(self.config.defaults, **changes)
        settings.validate(self.config)
        return settings

    def segment_reference(
        self, picture: NDArray[np.uint8], *, size: int | None = None, **options: Any
    ) -> Portrait:
        """Look at the portrait; options as in ``vision.portrait.segment_reference``."""
        return segment_reference(
            picture,
            self.checked_size(size),
            detector=self.detector,
            segmenter=self.segmenter,
            antialias=self.config.antialiased_crops,
            framing=self.config.framing,
            **options,
        )

    def prepare_driving(
        self, source: DrivingSource, *, size: int | None = None, **options: Any
    ) -> PreparedDriving:
        """Look at the driver; options as in ``vision.driving.prepare_driving``.

        Raises:
            InputError: also for a mode that is not the model's.
        """
        mode = checked_mode(self.config, options.pop("mode", None))
        return self._driving(source, self.checked_size(size), mode=mode, **options)

    def _driving(self, source: DrivingSource, size: int, **options: Any) -> PreparedDriving:
        return prepare_driving(
            source,
            size,
            detector=self.detector,
            landmarker=self.landmarker,
            antialias=self.config.antialiased_crops,
            framing=self.config.framing,
            **options,
        )

    def still_driving(
        self,
        portrait: Portrait,
        num_frames: int,
        *,
        frame_rate: Fraction,
        liveliness: Liveliness,
        amplitude: Amplitude = AS_DRIVEN,
    ) -> PreparedDriving:
        """A driver made of the portrait, for speech without a video; see ``vision.still``."""
        looker = self.landmarker or (None if self.detector is None else CoarseLandmarker(self.detector))
        landmarks = None if looker is None else looker(portrait.picture)
        sway = amplitude.frames("head_motion", num_frames)
        return still_driving(portrait.picture, landmarks, num_frames, frame_rate, liveliness, sway)

    def encode_reference(self, portrait: Portrait, seed: int = 42) -> ReferenceCondition:
        """Latents, mask and modulation of the portrait; the seed matters where the posterior is sampled."""
        return encode_reference(self.backend, portrait, seed)

    def encode_latents(self, picture: NDArray[np.uint8]) -> Tensor:
        """Scaled posterior mean of one square picture (size, size, 3), ``(1, channels, h, w)``."""
        return self.backend.encode_picture(picture)[0]

    def condition(
        self,
        portrait: Portrait,
        driving: PreparedDriving,
        seed: int = 42,
        on_chunk: Callable[[int], None] | None = None,
        *,
        more_portraits: Sequence[Portrait] = (),
        strengths: Mapping[str, ControlStrength] | None = None,
        waveform: NDArray[np.float32] | None = None,
        amplitude: Amplitude = AS_DRIVEN,
    ) -> Conditions:
        """All conditions of the clip.

        Args:
            portrait: of the person.
            driving: the motion.
            seed: matters where the posterior of the reference is sampled.
            on_chunk: told the driving frames done so far.
            more_portraits: of the same person; the denoiser reads their tokens too.
            strengths: of the ControlNets, by name.
            waveform: what is said, 16 kHz mono; without it a model that hears is given silence.
            amplitude: of speech and expression; that of the head's motion belongs to ``prepare_driving``.
        """
        return encode_conditions(
            self.backend,
            portrait,
            driving,
            seed,
            on_chunk=on_chunk,
            more_portraits=more_portraits,
            strengths=strengths,
            waveform=waveform,
            amplitude=amplitude,
        )

    def sample(
        self,
        conditions: Conditions,
        settings: SamplingSettings,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Tensor:
        """Scaled latents of the clip, ``(1, channels, frames, h, w)``; callbacks as in ``sampler.sample``."""
        num_frames = conditions.driving.num_frames
        networks = self.backend.sampling_networks(conditions.reference, num_frames, settings)
        conditions = conditions.to(self.backend.device, self.backend.dtype)
        return sample(networks, self.config, conditions, settings, on_progress=on_progress, on_step=on_step)

    def decode(
        self, latents: Tensor, on_note: Callable[[str], None] | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of the clip, uint8 (size, size, 3); see ``sampling.decode.decode_frames``."""
        return self.backend.decode(latents, on_note)

    def check_memory(self, settings: SamplingSettings, size: int, num_frames: int) -> None:
        """Raises InputError where a clip needs more memory than there is."""
        self.backend.check_memory(settings, size, num_frames)

    def checked_size(self, size: int | None) -> int:
        """The size to use; see ``vision.crops.checked_size``."""
        return checked_size(self.size if size is None else size)
