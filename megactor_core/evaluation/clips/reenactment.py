"""Animates real clips and measures them, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...animation.clip import DRIVERS_SOUND
from ...animation.options import DrivingOptions
from ...animator import Animator
from ...errors import InputError
from ...hearing.lip_sync import LipSync
from ...media.pictures import load_picture
from ...media.source import DrivingSource
from ...media.waveform import read_waveform
from ...sampling.sampler import Progress
from ...vision.framing import CropMode
from ...vision.portrait import need_detector
from ...vision.squares import face_squares
from ...vision.tracking import track_faces
from ...weights.download import file_sha256
from ..measures.clip import ClipMeasures, FrameValues, Images, Instruments
from ..measures.table import AGAINST_TRUTH
from .files import RejectedClip, VideoClip, choose_frames, first_picture
from .lip_sync import LipSyncMeter
from .plan import ClipPairing
from .request import EvaluationRequest


@dataclass(frozen=True, eq=False)
class AnimatedClip:
    """One animated clip.

    Attributes:
        reference: the portrait's square, uint8 (S, S, 3).
        driver: the driver's squares, uint8 (F, S, S, 3); in self-reenactment the truth.
        output: the result, uint8 (F, S, S, 3).
        frame_rate: frames per second, as a fraction.
        notes: what the animator said, e.g. frames without a face.
        sound: the driver's, float32 (samples,), 16 kHz mono, from the first frame on; None where it has none,
            or frames were passed over.
    """

    reference: Images = field(repr=False)
    driver: Images = field(repr=False)
    output: Images = field(repr=False)
    frame_rate: str
    notes: tuple[str, ...]
    sound: NDArray[np.float32] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class ClipScores:
    """The numbers of one clip.

    Attributes:
        pair: driver and portrait.
        sha256: of driver and portrait.
        frame_rate: frames per second, as a fraction.
        notes: what the animator said.
        output, copy: values of every frame, of the animation and of the portrait copied.
        features: of output, copy and driver, where the Frechet video distance is measured.
        lip_sync: see ``LipSyncMeter.of``; None where it is not measured.
    """

    pair: ClipPairing
    sha256: dict[str, str]
    frame_rate: str
    notes: tuple[str, ...]
    output: FrameValues
    copy: FrameValues
    features: dict[str, NDArray[np.float64]]
    lip_sync: dict[str, LipSync] | None = None


def evaluate_pairs(
    animator: Animator,
    instruments: Instruments,
    request: EvaluationRequest,
    pairs: Sequence[ClipPairing],
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
    meter: LipSyncMeter | None = None,
) -> Iterator[tuple[ClipScores, AnimatedClip] | RejectedClip]:
    """Animate and measure; a clip's numbers do not depend on the others.

    Args:
        animator: with the model.
        instruments: what is measured with.
        request: how.
        pairs: what drives what.
        folder: receives the animated clips, ``0000.mp4`` and so on by their place in ``pairs``.
        on_progress: see ``sampler.sample``.
        meter: measures lip sync, where a driver has sound.

    Yields:
        Numbers and pictures of each clip; or why it cannot be animated, for instance for want of a face.

    Raises:
        InputError: an animated clip cannot be written.
    """
    for index, pair in enumerate(pairs):
        output = folder / f"{index:04d}.mp4"
        try:
            clip = animate_pair(animator, request, pair, output, on_progress)
        except InputError as error:
            if error.subject == str(output):
                raise  # the disk is full or gone: no fault of the clip
            yield RejectedClip(pair.driver.name, error.problem)
            continue
        try:
            scores = score_clip(instruments, request, pair, clip, meter)
        except OSError as error:  # the file has gone since it was animated
            yield RejectedClip(pair.driver.name, f"cannot be read ({error.strerror})")
        else:
            yield scores, clip


def animate_pair(
    animator: Animator,
    request: EvaluationRequest,
    pair: ClipPairing,
    output: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> AnimatedClip:
    """Animate one clip, as the command ``animate`` does.

    In self-reenactment portrait and driver are cut out by the same square, so that the truth is known.

    Raises:
        InputError: no face, no sound, or whatever else makes the clip unusable.
    """
    with pair.driver.opened() as whole:
        source = choose_frames(whole, request.frames, request.stride)
        crop: CropMode = request.crop
        driving_crop: CropMode = request.crop
        if isinstance(pair.portrait, Path):
            picture = load_picture(pair.portrait)
        elif pair.portrait is pair.driver:
            number = pair.reference_frame
            picture = next(image for _, _, image in source.frames(number, number + 1))
            crop, driving_crop = _shared_crops(animator, request, source, number)
        else:
            picture = first_picture(pair.portrait)
        frames: list[NDArray[np.uint8]] = []
        report = animator.animate(
            picture,
            source,
            output,
            crop=crop,
            driving_crop=driving_crop,
            size=request.size,
            settings=request.sampling,
            strengths=request.strengths,
            speech=DRIVERS_SOUND if request.speech else None,
            audio=request.speech,
            **{name: getattr(request, name) for name in DrivingOptions.model_fields},
            on_progress=on_progress,
            on_frame=lambda _, frame: frames.append(frame),
        )
        # Cut out the same way for every model, however the model itself sees them.
        squares = [
            report.driving.square(index).apply(image, antialias=True)
            for index, (_, _, image) in enumerate(source.frames())
        ]
    return AnimatedClip(
        reference=_rounded(report.portrait.crop.apply(picture, antialias=True)),
        driver=_rounded(np.stack(squares)),
        output=np.stack(frames),
        frame_rate=str(source.frame_rate),
        notes=report.notes,
        sound=_sound(source),
    )


def score_clip(
    instruments: Instruments,
    request: EvaluationRequest,
    pair: ClipPairing,
    clip: AnimatedClip,
    meter: LipSyncMeter | None = None,
) -> ClipScores:
    """Measure one animated clip and the copied portrait."""
    truth = request.test == "self"
    measures = ClipMeasures(instruments, clip.reference, clip.driver, truth)
    copied = np.broadcast_to(clip.reference, clip.driver.shape).copy()
    output, copy = measures.of(clip.output), measures.of(copied)
    if truth:
        # The truth of this frame was given.
        for name in AGAINST_TRUTH:
            for values in (output, copy):
                if name in values:
                    values[name][pair.reference_frame] = np.nan
    features = {}
    if instruments.video is not None:
        compared = {"output": clip.output, "copy": copied, "driver": clip.driver}
        features = {name: instruments.video(frames) for name, frames in compared.items()}
    lip_sync = None
    if meter is not None and clip.sound is not None:
        lip_sync = meter.of(clip.output, clip.driver, clip.sound, float(Fraction(clip.frame_rate)))
    return ClipScores(pair, pair_digests(pair), clip.frame_rate, clip.notes, output, copy, features, lip_sync)


def _sound(source: DrivingSource) -> NDArray[np.float32] | None:
    """What is heard with a clip; None where that cannot be read, which only speech needs."""
    if not source.sound:
        return None
    try:
        return read_waveform(source.sound, source.sound_start, source.duration)
    except InputError:
        return None


def _shared_crops(
    animator: Animator, request: EvaluationRequest, source: DrivingSource, number: int
) -> tuple[CropMode, CropMode]:
    """Crops of frame ``number`` as the portrait and of the driver, which are the same square of it."""
    if request.crop != "face":
        return request.crop, request.crop
    images = (image for _, _, image in source.frames())
    track = track_faces(images, need_detector(animator.detector), subject=source.name)
    squares = face_squares(
        track,
        (source.height, source.width),
        request.size,
        animator.config.framing,
        float(source.frame_rate),
    )
    if squares.path is None:
        box = _floats(squares.crop.box)
        return box, box
    return _floats(squares.path[number]), "face"


def _floats(box: Iterable[int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _rounded(pixels: NDArray[np.float32]) -> Images:
    return pixels.round().clip(0, 255).astype(np.uint8)


def pair_digests(pair: ClipPairing) -> dict[str, str]:
    """sha256 of ``driver`` and ``portrait``."""
    portrait = pair.portrait
    sha256 = portrait.sha256() if isinstance(portrait, VideoClip) else file_sha256(portrait)
    return {"driver": pair.driver.sha256(), "portrait": sha256}
