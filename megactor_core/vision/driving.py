"""Look at the driving file: follow the face, then turn every frame into a driving condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.source import DrivingSource
from ..motion import AS_DRIVEN, Amplitude
from .coarse_landmarks import CoarseLandmarker
from .crops import Crop
from .face_patches import BestFrame
from .faces import Detector, Face, FaceChoice
from .framing import CropMode, Framing, cut_faces, frame_square
from .head_motion import box_anchors, head_corrections, moved_picture, moved_points, rigid_anchors
from .landmarks import Landmarker, hold_landmarks, to_68
from .modes.hints import HintPlan, plan_hints
from .modes.patches import PatchPlan, contour_plan, patch_condition, region_plan
from .modes.plain import plain_boxes, plain_condition
from .portrait import Portrait, need_detector
from .squares import Squares, face_squares
from .tracking import FaceTrack, LostPolicy, NoFaceError, follow_face, format_frames, track_faces

T = TypeVar("T")

DrivingMode = Literal["plain", "contour", "hints", "eyes_mouth", "eyes"]
"""What is kept of a driving frame: in grey the face's surroundings; patches of eyes, brows and mouth; the
frame in colour and its eyes and mouth, each for a ControlNet of its own (X-Portrait); patches of eyes with
brows, with or without one of the mouth (MegActor-Sigma)."""


@dataclass(frozen=True)
class PreparedDriving:
    """A driving clip, ready to be read as condition frames; holds no pixels of its own.

    Attributes:
        source: the frames that are used.
        crop: the square that is used of every frame; where it follows the face, the smallest square that
            holds all its places, see ``square``.
        boxes: plain mode: what is kept of each cropped frame, int64 (frames, 4), or None to keep all of it.
        passed: bool (frames,), True for frames whose whole square is kept because the face was lost.
        contour: modes of grey patches: these and their alignment.
        hints: hints mode: alignment and patches.
        report: one line about the face, empty where none was looked for.
        antialias: how the squares are shrunk, see ``Crop.apply``.
        head: float64 (frames, 2, 3), where the squares are moved to scale the head's motion, if they are.
        path: int64 (frames, 4), the square of every frame, left, top, right, bottom in pixels, where it
            follows the face; else None.
    """

    source: DrivingSource
    crop: Crop
    boxes: NDArray[np.int64] | None
    passed: NDArray[np.bool_]
    contour: PatchPlan | None
    report: str
    antialias: bool
    hints: HintPlan | None = None
    head: NDArray[np.float64] | None = None
    path: NDArray[np.int64] | None = None

    @property
    def num_frames(self) -> int:
        """At least 1."""
        return self.source.num_frames

    def square(self, index: int) -> Crop:
        """The square that is used of frame ``index``."""
        if self.path is None:
            return self.crop
        left, top, right, bottom = self.path[index].tolist()
        return replace(self.crop, box=(left, top, right, bottom))

    def to_squares(self, coordinates: NDArray[np.floating]) -> NDArray[np.float32]:
        """Maps positions of every frame, (frames, ...), into its square; last axis: x, y, ..."""
        if self.path is None:
            return self.crop.to_crop(coordinates)
        return np.stack([self.square(index).to_crop(row) for index, row in enumerate(coordinates)])

    def crops(self) -> Iterator[NDArray[np.float32]]:
        """The squares, float32 (size, size, 3), 0..255, read from the source one by one."""
        for index, (_, _, image) in enumerate(self.source.frames()):
            square = self.square(index).apply(image, self.antialias).clip(0, 255)
            yield square if self.head is None else moved_picture(square, self.head[index])

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One square for people to look at, uint8 (size, size, 3)."""
        _, _, image = next(iter(self.source.frames(index, index + 1)))
        return self.square(index).apply(image, antialias=True).round().clip(0, 255).astype(np.uint8)

    def condition(self, index: int, cropped: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grey condition of frame ``index``, float32 (size, size), 0..255, from its square in ``crops()``."""
        if self.contour is not None:
            return patch_condition(cropped, self.contour, index=index)
        box = None if self.boxes is None or self.passed[index] else self.boxes[index]
        return plain_condition(cropped, box)

    def conditions(self) -> Iterator[NDArray[np.float32]]:
        """Grey condition frames, float32 (size, size), 0..255, read from the source one by one."""
        return (self.condition(index, cropped) for index, cropped in enumerate(self.crops()))

    def hint_pictures(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Hints by ControlNet, float32 (size, size, 3) in [-1, 1], read from the source one by one."""
        assert self.hints is not None
        return (
            self.hints.pictures(index, cropped / np.float32(255))
            for index, cropped in enumerate(self.crops())
        )

    def times(self) -> Iterator[Fraction]:
        """Time of each frame in seconds after the first."""
        return (self.source.frame_times.time(index) for index in range(self.num_frames))


def prepare_driving(
    source: DrivingSource,
    size: int,
    *,
    crop: CropMode = "face",
    mode: DrivingMode = "plain",
    face: FaceChoice = "largest",
    lost: LostPolicy = "hold",
    smoothing: float = 0.0,
    start: int = 0,
    stop: int | None = None,
    faces: Sequence[tuple[Face, ...]] | None = None,
    portrait: Portrait | None = None,
    portrait_landmarks: NDArray[np.floating] | None = None,
    best_frame: BestFrame = "auto",
    detector: Detector | None = None,
    landmarker: Landmarker | None = None,
    antialias: bool = False,
    framing: Framing = "face",
    fixed_patches: bool = False,
    amplitude: Amplitude = AS_DRIVEN,
    on_frame: Callable[[int], None] | None = None,
) -> PreparedDriving:
    """Decide what is shown to the model of every driving frame; the frames are read three times at most.

    Args:
        source: from ``open_driving``.
        size: side of the squares in pixels.
        crop: see ``CropMode``. Where no face is found the whole square is the condition.
        mode: see ``DrivingMode``; contour needs faces with landmarks, or a landmarker. The eye modes make do
            with the detector.
        face: which face.
        lost: what frames without the face get.
        smoothing: of the face's boxes over time, 0 to below 1.
        start, stop: the frames to use, as in a slice.
        faces: those of every frame of ``source`` where they are known already, else the detector finds them.
        portrait: aligns the patches with its face, as the landmarker sees it.
        portrait_landmarks: the same as landmarks, (68 or 478, 2) in pixels of the portrait's square.
        best_frame: of the hints mode, see ``BestFrame``.
        detector, landmarker: find faces and their landmarks. The hints mode makes do with the detector.
        antialias: see ``Crop.apply``.
        framing: what of the face's surroundings belongs to the square.
        fixed_patches: eye modes: one box per region for the whole clip instead of one per frame.
        amplitude: its head motion is applied to what is shown of the frames.
        on_frame: called with its number before every frame that is searched; raise in it to cancel.

    Raises:
        InputError: no face where one is needed, no frames left, or a missing detector or landmarker.
    """
    clip = source.part(start, stop)
    head_motion = amplitude.frames("head_motion", clip.num_frames)
    source_size = (clip.height, clip.width)
    within = None if isinstance(crop, str) else frame_square(crop, None, source_size, size).box
    coarse = landmarker is None and mode not in ("plain", "contour")
    images = (image for _, _, image in clip.frames())
    how: dict[str, Any] = {
        "choice": face,
        "lost": lost,
        "smoothing": smoothing,
        "subject": clip.name,
        "within": within,
    }
    track: FaceTrack | None = None
    report = ""
    try:
        if faces is not None:
            track = follow_face(faces[start:stop], **how, frames=images)
        elif crop == "face" or (detector is not None and (crop == "auto" or mode == "plain" or coarse)):
            track = track_faces(_watched(images, on_frame), need_detector(detector), **how)
    except NoFaceError as error:
        if crop == "face":
            raise
        report = f"{error.problem}: the whole square is shown"
    if track is not None and crop in ("auto", "face"):
        squares = face_squares(track, source_size, size, framing, float(clip.frame_rate))
    else:
        squares = Squares(frame_square(crop, None, source_size, size))
    passed = np.zeros(clip.num_frames, bool) if track is None else track.passed
    prepared = PreparedDriving(clip, squares.crop, None, passed, None, report, antialias, path=squares.path)
    if track is not None:
        outside = _outside_note(prepared.to_squares(track.boxes)[track.found], track, size)
        notes = (str(track.report), squares.note, outside)
        prepared = replace(prepared, report="; ".join(filter(None, notes)))
    if mode == "plain":
        kept: NDArray[np.floating] | None = None if track is None else prepared.to_squares(track.boxes)
        if kept is not None and (head_motion != 1).any():
            head = head_corrections(box_anchors(kept), head_motion)
            prepared = replace(prepared, head=head)
            kept = moved_points(kept.reshape(-1, 2, 2), head).reshape(-1, 4)
        return replace(prepared, boxes=None if kept is None else plain_boxes(kept, size))
    looker = landmarker
    if looker is None and detector is not None and mode != "contour":
        looker = CoarseLandmarker(detector)
    if portrait_landmarks is None and portrait is not None and looker is not None:
        portrait_landmarks = looker(portrait.picture)
    seen = _landmarks_of(prepared, track, looker, on_frame)
    held: NDArray[np.floating] | None = hold_landmarks(seen)
    if held is not None and (head_motion != 1).any():
        head = head_corrections(rigid_anchors(held), head_motion)
        prepared, held = replace(prepared, head=head), moved_points(held, head)
        seen = [None if points is None else row for points, row in zip(seen, held, strict=True)]
    if mode == "hints":
        hints, hint_note = plan_hints(portrait_landmarks, seen, size, best_frame, clip.name)
        return replace(prepared, hints=hints, report="; ".join(filter(None, (prepared.report, hint_note))))
    if held is None:
        raise _no_landmarks(clip.name, mode, looker)
    target = None if portrait_landmarks is None else to_68(portrait_landmarks)
    if mode == "contour":
        return replace(prepared, contour=contour_plan(held, target, size))
    plan = region_plan(held, target, size, mouth=mode == "eyes_mouth", fixed=fixed_patches)
    return replace(prepared, contour=plan)


def _landmarks_of(
    prepared: PreparedDriving,
    track: FaceTrack | None,
    looker: Landmarker | None,
    on_frame: Callable[[int], None] | None,
) -> list[NDArray[np.floating] | None]:
    """Landmarks in every square, (68, 2) in its pixels; None where no face was seen."""
    known = None if track is None else track.landmarks
    if known is None and track is not None and isinstance(looker, CoarseLandmarker):
        known = track.coarse_landmarks
    if track is not None and known is not None:
        rows = prepared.to_squares(known)
        return [row if found else None for row, found in zip(rows, track.found, strict=True)]
    if looker is None:
        return [None] * prepared.num_frames
    pictures = (cropped.astype(np.uint8) for cropped in _watched(prepared.crops(), on_frame))
    return [None if points is None else to_68(points) for points in map(looker, pictures)]


def _outside_note(boxes: NDArray[np.float32], track: FaceTrack, size: int) -> str:
    """Tells which of the faces that were found are not wholly in their squares; boxes in their pixels."""
    frames = np.flatnonzero(track.found)[cut_faces(boxes, size)].tolist()
    if not frames:
        return ""
    return (
        f"the face is partly or wholly outside the square in {len(frames)} of {len(track.found)} frames "
        f"({format_frames(frames)})"
    )


def _no_landmarks(subject: str, mode: DrivingMode, looker: Landmarker | None) -> InputError:
    if looker is None:
        other = "use the plain mode" if mode == "contour" else "fetch the face detector"
        remedy = f"Give a landmarker's file, or {other}"
        return InputError(f"driving mode {mode}", "needs face landmarks", remedy)
    return InputError(subject, "no face landmarks were found", "Use another video")


def _watched(items: Iterable[T], on_item: Callable[[int], None] | None) -> Iterator[T]:
    for index, item in enumerate(items):
        if on_item is not None:
            on_item(index)
        yield item
