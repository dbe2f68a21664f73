"""The five steps joined: look, condition, sample, deliver, whoever holds the networks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media.source import DrivingSource
from ..media.writing import VideoWriter
from ..sampling.sampler import Progress, Step
from ..vision.driving import PreparedDriving
from ..vision.paste import paste_back
from ..vision.portrait import Portrait
from .encode import encode_start_video
from .inputs import open_inputs
from .options import AnimationOptions
from .plan import Plan, make_plan
from .steps import AnimationSteps

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class AnimationReport:
    """Result of one animation.

    Attributes:
        output: the file that was written.
        num_frames: its frames, as many as were driven.
        seconds: wall clock from the first look to the finished file.
        notes: lines worth telling the user, e.g. frames without a face.
        portrait: what was taken of the reference picture.
        driving: what was taken of the driver.
    """

    output: Path
    num_frames: int
    seconds: float
    notes: tuple[str, ...]
    portrait: Portrait
    driving: PreparedDriving

    @property
    def seconds_per_frame(self) -> float:
        return self.seconds / self.num_frames


@dataclass(frozen=True)
class Callbacks:
    """What is told of an animation as it goes on; raise in one to cancel, and nothing is left behind.

    Attributes:
        on_prepare: while the driver is looked at and encoded, with what is done and the whole.
        on_progress: before every window.
        on_step: after every step of sampling.
        on_frame: number and picture of every frame as it is written.
    """

    on_prepare: Callable[[int, int], None] | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_step: Callable[[Step], None] | None = None
    on_frame: Callable[[int, NDArray[np.uint8]], None] | None = None


class PortraitAnimator(AnimationSteps):
    """Animates portraits; every step can be called on its own.

    Args:
        backend: holds the networks.
        detector, landmarker: find faces and their landmarks.
        segmenter: tells people from background.
    """

    def animate(
        self,
        reference: PathLike | NDArray[np.uint8],
        driving: PathLike | DrivingSource | None,
        output: PathLike,
        *,
        on_prepare: Callable[[int, int], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
        on_frame: Callable[[int, NDArray[np.uint8]], None] | None = None,
        **options: Any,
    ) -> AnimationReport:
        """One portrait and one driver in, one video out.

        Args:
            reference: picture file or uint8 RGB (H, W, 3).
            driving: driving file, or what ``open_driving`` gave; None where speech alone drives.
            output: video file to write.
            on_prepare, on_progress, on_step, on_frame: see ``Callbacks``.
            options: any that ``animation.options`` declares, by its name, as ``crop``, ``face``, ``mask``,
                ``mode``, ``smoothing``, ``start``, ``stop``, ``paste``, ``speech`` or ``start_video``; and
                ``settings``, ``amplitude``, ``liveliness`` and ``strengths`` of ``AnimationOptions``. Where a
                flag names a file, a picture may be an array, a video what ``open_driving`` gave, and speech
                samples or ``clip.DRIVERS_SOUND``.

        Raises:
            InputError: anything given that cannot be used.
        """
        asked = AnimationOptions.of(reference=reference, driving=driving, output=output, **options)
        plan = make_plan(self.config, open_inputs(asked), asked, self.check_memory)
        return self.run(plan, Callbacks(on_prepare, on_progress, on_step, on_frame))

    def run(self, plan: Plan, callbacks: Callbacks | None = None) -> AnimationReport:
        """Make the clip of a plan.

        Raises:
            InputError: no face where one is needed, or whatever else shows only in the work.
        """
        begin = time.perf_counter()
        callbacks = callbacks or Callbacks()
        clip, inputs, delivery = plan.clip, plan.inputs, plan.options.files
        portrait, more_portraits, driving = self._preprocess(plan, callbacks.on_prepare)
        conditions = self.condition(
            portrait,
            driving,
            plan.settings.seed,
            _prepared(callbacks.on_prepare, clip.num_frames, encoding=True),
            more_portraits=more_portraits,
            strengths=plan.strengths,
            waveform=clip.waveform,
            amplitude=plan.amplitude,
        )
        if inputs.start is not None:
            frames = encode_start_video(self.backend, inputs.start, plan.size, clip.num_frames)
            conditions = replace(conditions, start=frames)
        latents = self.sample(conditions, plan.settings, callbacks.on_progress, callbacks.on_step)
        times = driving.source.frame_times
        decoding_notes: list[str] = []
        with _writer(plan) as writer:
            for index, frame in enumerate(self.decode(latents, decoding_notes.append)):
                if delivery.paste:
                    frame = paste_back(inputs.picture, portrait.crop, frame, portrait.original_foreground)
                moment = times.time(index)
                writer.write(frame, moment, duration=times.time(index + 1) - moment)
                if callbacks.on_frame is not None:
                    callbacks.on_frame(index, frame)
        told = [portrait.report, *(other.report for other in more_portraits), driving.report]
        told += [plan.settings.note(self.config), *decoding_notes, writer.note]
        for source in (clip.source, inputs.start):
            told += () if source is None else source.notes
        notes = tuple(note for note in told if note)
        seconds = time.perf_counter() - begin
        return AnimationReport(inputs.output, driving.num_frames, seconds, notes, portrait, driving)

    def _preprocess(
        self, plan: Plan, on_prepare: Callable[[int, int], None] | None
    ) -> tuple[Portrait, list[Portrait], PreparedDriving]:
        """The portrait, other pictures of the person, and the driver."""
        clip, inputs, crops, shown = plan.clip, plan.inputs, plan.options.crops, plan.options.driving
        portrait = self.segment_reference(
            inputs.picture, size=plan.size, crop=crops.crop, face=crops.face, mask=inputs.mask
        )
        if clip.source is None:
            driving = self.still_driving(
                portrait,
                clip.num_frames,
                frame_rate=clip.frame_rate,
                liveliness=plan.liveliness,
                amplitude=plan.amplitude,
            )
        else:
            driving = self._driving(
                clip.source,
                plan.size,
                crop=plan.driving_crop,
                face=crops.driving_face,
                portrait=portrait,
                mode=plan.mode,
                best_frame=shown.best_frame,
                fixed_patches=shown.fixed_patches,
                lost=shown.lost,
                smoothing=shown.smoothing,
                amplitude=plan.amplitude,
                on_frame=_prepared(on_prepare, clip.num_frames, encoding=False),
            )
        others = [
            self.segment_reference(other, size=plan.size, crop=plan.more_crop) for other in inputs.others
        ]
        return portrait, others, driving


def _prepared(
    on_prepare: Callable[[int, int], None] | None, num_frames: int, *, encoding: bool
) -> Callable[[int], None]:
    """Tells how much of the preparation is done: every frame is first looked at, then encoded."""

    def report(done: int) -> None:
        if on_prepare is not None:
            on_prepare(done + (num_frames if encoding else 0), 2 * num_frames)

    return report


def _writer(plan: Plan) -> VideoWriter:
    clip, delivery = plan.clip, plan.options.files
    height, width = plan.inputs.picture.shape[:2] if delivery.paste else (plan.size, plan.size)
    return VideoWriter(
        plan.inputs.output,
        width,
        height,
        clip.frame_rate,
        audio_source=clip.sound if delivery.audio else None,
        overwrite=delivery.overwrite,
        audio_start=clip.sound_start,
        uneven_times=clip.source is not None and clip.source.variable_frame_rate,
        checked=True,
    )
