"""Look at the driving file: follow the face, then turn every frame into a driving condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

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
from .modes.mode import GREY, ClipFaces, DrivingMode, Plan, PlanOptions
from .modes.plain import PlainPlan
from .modes.registry import MODES
from .portrait import Portrait, need_detector
from .squares import Squares, face_squares
from .tracking import FaceTrack, LostPolicy, NoFaceError, follow_face, format_frames, track_faces

T = TypeVar("T")


@dataclass(frozen=True)
class PreparedDriving:
    """A driving clip, ready to be read as condition frames; holds no pixels of its own.

    Attributes:
        source: the frames that are used.
        crop: the square that is used of every frame; where it follows the face, the smallest square that
            holds all its places, see ``square``.
        mode: how it is shown.
        plan: what the mode shows of every square.
        report: one line about the face, empty where none was looked for.
        antialias: how the squares are shrunk, see ``Crop.apply``.
        head: float64 (frames, 2, 3), where the squares are moved to scale the head's motion, if they are.
        path: int64 (frames, 4), the square of every frame, left, top, right, bottom in pixels, where it
            follows the face; else None.
    """

    source: DrivingSource
    crop: Crop
    mode: DrivingMode
    plan: Plan
    report: str
    antialias: bool
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

    def pictures(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Pictures of every frame by name, read from the source one by one; see ``modes.mode.Plan``."""
        return (self.plan.pictures(index, cropped) for index, cropped in enumerate(self.crops()))

    def conditions(self) -> Iterator[NDArray[np.float32]]:
        """The grey pictures alone, float32 (size, size), 0..255."""
        return (pictures[GREY] for pictures in self.pictures())

    def times(self) -> Iterator[Fraction]:
        """Time of each frame in seconds after the first."""
        return (self.source.frame_times.time(index) for index in range(self.num_frames))


def prepare_driving(
    source: DrivingSource,
    size: int,
    *,
    crop: CropMode = "face",
    mode: str = "plain",
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
        mode: name of one of ``modes.registry.MODES``.
        face: which face.
        lost: what frames without the face get.
        smoothing: of the face's boxes over time, 0 to below 1.
        start, stop: the frames to use, as in a slice.
        faces: those of every frame of ``source`` where they are known already, else the detector finds them.
        portrait: aligns the patches with its face, as the landmarker sees it.
        portrait_landmarks: the same as landmarks, (68 or 478, 2) in pixels of the portrait's square.
        best_frame, fixed_patches: see ``modes.mode.PlanOptions``.
        detector, landmarker: find faces and their landmarks; see ``modes.mode.DrivingMode.landmarks``.
        antialias: see ``Crop.apply``.
        framing: what of the face's surroundings belongs to the square.
        amplitude: its head motion is applied to what is shown of the frames.
        on_frame: called with its number before every frame that is searched; raise in it to cancel.

    Raises:
        InputError: no face where one is needed, no frames left, or a missing detector or landmarker.
    """
    clip = source.part(start, stop)
    head_motion = amplitude.frames("head_motion", clip.num_frames)
    source_size = (clip.height, clip.width)
    within = None if isinstance(crop, str) else frame_square(crop, None, source_size, size).box
    chosen = MODES[mode]
    boxes_do = chosen.landmarks == "none"
    coarse = landmarker is None and chosen.landmarks == "coarse"
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
        elif crop == "face" or (detector is not None and (crop == "auto" or boxes_do or coarse)):
            track = track_faces(_watched(images, on_frame), need_detector(detector), **how)
    except NoFaceError as error:
        if crop == "face":
            raise
        report = f"{error.problem}: the whole square is shown"
    if track is not None and crop in ("auto", "face"):
        squares = face_squares(track, source_size, size, framing, float(clip.frame_rate))
    else:
        squares = Squares(frame_square(crop, None, source_size, size))
    prepared = PreparedDriving(clip, squares.crop, chosen, PlainPlan(), report, antialias, path=squares.path)
    if track is not None:
        outside = _outside_note(prepared.to_squares(track.boxes)[track.found], track, size)
        notes = (str(track.report), squares.note, outside)
        prepared = replace(prepared, report="; ".join(filter(None, notes)))
    moves = bool((head_motion != 1).any())
    if boxes_do:
        boxes: NDArray[np.floating] | None = None if track is None else prepared.to_squares(track.boxes)
        if boxes is not None and moves:
            head = head_corrections(box_anchors(boxes), head_motion)
            prepared = replace(prepared, head=head)
            boxes = moved_points(boxes.reshape(-1, 2, 2), head).reshape(-1, 4)
        seen_faces = ClipFaces(size, boxes=boxes, passed=None if track is None else track.passed)
    else:
        looker = landmarker
        if looker is None and detector is not None and chosen.landmarks == "coarse":
            looker = CoarseLandmarker(detector)
        if portrait_landmarks is None and portrait is not None and looker is not None:
            portrait_landmarks = looker(portrait.picture)
        seen = _landmarks_of(prepared, track, looker, on_frame)
        held: NDArray[np.floating] | None = hold_landmarks(seen)
        if held is not None and moves:
            head = head_corrections(rigid_anchors(held), head_motion)
            prepared, held = replace(prepared, head=head), moved_points(held, head)
            seen = [None if points is None else row for points, row in zip(seen, held, strict=True)]
        if held is None and chosen.needs_face:
            raise _no_landmarks(clip.name, chosen, looker)
        target = None if portrait_landmarks is None else to_68(portrait_landmarks)
        seen_faces = ClipFaces(size, landmarks=seen, target=target, subject=clip.name)
    plan, note = chosen.plan(seen_faces, PlanOptions(best_frame, fixed_patches))
    return replace(prepared, plan=plan, report="; ".join(filter(None, (prepared.report, note))))


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
        other = "use the plain mode" if mode.landmarks == "exact" else "fetch the face detector"
        remedy = f"Give a landmarker's file, or {other}"
        return InputError(f"driving mode {mode.name}", "needs face landmarks", remedy)
    return InputError(subject, "no face landmarks were found", "Use another video")


def _watched(items: Iterable[T], on_item: Callable[[int], None] | None) -> Iterator[T]:
    for index, item in enumerate(items):
        if on_item is not None:
            on_item(index)
        yield item
