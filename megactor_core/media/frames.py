"""One decoded video frame to RGB as shown: colours, transparency, rotation metadata, non-square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from .colour import (
    BT2020,
    BT2020_NCL,
    RARE_MATRICES,
    SCALER_MATRICES,
    UNSPECIFIED,
    Colour,
    rare_to_sdr,
    to_sdr,
)

# Players go by the height where a file does not tell its matrix: BT.709 for high definition, else BT.601.
STANDARD_DEFINITION_HEIGHT = 576
# libswscale's flags, of which older PyAV names only the first: bicubic, accurate rounding, every pixel's own
# chroma. Without them colours come out 1 to 2 levels too dark.
SCALING_FLAGS = 0x4 | 0x40000 | 0x2000 | 0x4000


@dataclass(frozen=True, eq=False)
class FrameConverter:
    """Converts the frames of one stream; all come out in the size of the first one.

    Attributes:
        coded_size: (width, height) to scale to before turning, in pixels.
        transpose, flip_x, flip_y: the display matrix: swap the axes, then mirror left-right and top-bottom.
        pixel_shape: width of a pixel by its height.
        colour: what the stream says of its colours.
        opaque: whether the fourth channel of its pixels, if they have one, is no opacity.
    """

    coded_size: tuple[int, int]
    transpose: bool
    flip_x: bool
    flip_y: bool
    pixel_shape: Fraction
    colour: Colour
    opaque: bool

    @classmethod
    def for_stream(
        cls, first: VideoFrame, context: VideoCodecContext, sample_aspect_ratio: Fraction | None = None
    ) -> FrameConverter:
        """Read what the first decoded frame tells.

        Args:
            first: the frame.
            context: of the stream, after the frame was decoded.
            sample_aspect_ratio: the pixels' shape; None or 0: square.
        """
        pixel_shape = sample_aspect_ratio or Fraction(1)
        width = max(1, round(first.width * pixel_shape))
        colour = Colour(int(context.color_primaries), int(context.color_trc))
        # AVI's uncompressed pixels of 32 bits have a byte without a meaning, mostly 0.
        opaque = context.name == "rawvideo" and context.codec_tag == "\0\0\0\0"
        return cls((width, first.height), *_display_matrix(first), pixel_shape, colour, opaque)

    @property
    def width(self) -> int:
        """Pixels as shown."""
        return self.coded_size[1 if self.transpose else 0]

    @property
    def height(self) -> int:
        """Pixels as shown."""
        return self.coded_size[0 if self.transpose else 1]

    def fits(self, frame: VideoFrame) -> bool:
        """Whether the frame fills the picture; one of another shape gets black borders, as in players."""
        return self._fitted(frame) == self.coded_size

    def notes(self, frame: VideoFrame) -> list[str]:
        """Notes for the user about the conversion of a frame."""
        notes = []
        if self.colour.is_hdr:
            notes.append("HDR video: its colours were tone-mapped to SDR")
        if frame.colorspace not in (UNSPECIFIED, *SCALER_MATRICES, *RARE_MATRICES):
            notes.append(f"colour matrix {int(frame.colorspace)} is not known: its colours may be wrong")
        if not self.fits(frame):
            width, height = self.coded_size
            notes.append(
                f"the picture changes its shape to {frame.width}x{frame.height}: "
                f"it was fitted into {width}x{height} with black borders"
            )
        return notes

    def to_rgb(self, frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        """(H, W, 3) uint8 RGB, contiguous and writable; ``reformatter`` keeps its tables between frames.

        HDR is tone-mapped, transparent parts are white.

        Raises:
            FFmpegError: the scaler does not know the frame's format.
        """
        image = self._converted(frame, reformatter)
        if not self.fits(frame):
            image = self._letterboxed(image)
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)

    def _converted(self, frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        size, full_range, matrix = self._fitted(frame), _is_full_range(frame), self._matrix(frame)
        if matrix in RARE_MATRICES:
            # Luma and chroma are only brought to one size; range and matrix stay as they are.
            same = Colorspace.ITU601, ColorRange.MPEG
            values = np.stack(_planes(_scaled(frame, reformatter, size, "yuv444p16le", *same)), axis=-1)
            depth = frame.format.components[0].bits
            return rare_to_sdr(values, depth, full_range, matrix, self.colour)
        color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        usual = self.colour.is_usual
        if self.opaque or not _may_be_transparent(frame.format.name):
            kind = "rgb24" if usual else "rgb48le"
            values = _pixels(_scaled(frame, reformatter, size, kind, matrix, color_range))
            return values if usual else to_sdr(values, self.colour)
        kind = "rgba" if usual else "rgba64le"
        values = _pixels(_scaled(frame, reformatter, size, kind, matrix, color_range))
        image = values[..., :3] if usual else to_sdr(values[..., :3], self.colour)
        return _on_white(image, values[..., 3] if usual else values[..., 3] >> 8)

    def _matrix(self, frame: VideoFrame) -> int:
        matrix = int(frame.colorspace)
        if matrix in SCALER_MATRICES or (matrix in RARE_MATRICES and not frame.format.is_rgb):
            return matrix
        if self.colour.is_hdr or self.colour.primaries == BT2020:
            return BT2020_NCL
        return Colorspace.ITU709 if frame.height > STANDARD_DEFINITION_HEIGHT else Colorspace.ITU601

    def _fitted(self, frame: VideoFrame) -> tuple[int, int]:
        """(width, height) of the frame in the picture."""
        width, height = self.coded_size
        shape = frame.width * self.pixel_shape / frame.height
        fitted = min(width, max(1, round(height * shape))), min(height, max(1, round(width / shape)))
        # A side that is off by rounding alone is none that needs borders.
        return tuple(b if b - a <= 1 else a for a, b in zip(fitted, self.coded_size, strict=True))  # type: ignore[return-value]

    def _letterboxed(self, image: np.ndarray) -> np.ndarray:
        width, height = self.coded_size
        picture = np.zeros((height, width, 3), np.uint8)
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        picture[top : top + image.shape[0], left : left + image.shape[1]] = image
        return picture


def _scaled(
    frame: VideoFrame,
    reformatter: VideoReformatter,
    size: tuple[int, int],
    pixel_format: str,
    matrix: int,
    color_range: int,
) -> VideoFrame:
    to_rgb = pixel_format.startswith("rgb")
    if hasattr(frame, "color_trc"):  # PyAV 17 and later hand them to the scaler, which knows some of them
        frame.color_trc = frame.color_primaries = UNSPECIFIED
    return reformatter.reformat(
        frame,
        *size,
        pixel_format,
        src_colorspace=matrix,
        dst_colorspace=Colorspace.ITU601,  # without effect on RGB, but older PyAV skips equal ones
        src_color_range=color_range,
        dst_color_range=ColorRange.JPEG if to_rgb else color_range,
        interpolation=SCALING_FLAGS,
    )


def _pixels(frame: VideoFrame) -> Any:
    """(H, W, channels), uint8 or uint16."""
    return frame.to_ndarray()


def _planes(frame: VideoFrame) -> list[np.ndarray]:
    """The planes of a 16-bit format, (H, W) each."""
    rows = (np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1) for plane in frame.planes)
    return [plane[:, : frame.width] for plane in rows]


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


@lru_cache
def _may_be_transparent(pixel_format: str) -> bool:
    described = VideoFormat(pixel_format)
    return described.has_palette or any(component.is_alpha for component in described.components)


def _on_white(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) under its opacity (H, W), both uint8, on a white page."""
    if alpha.min() == 255:
        return image
    opacity = alpha[..., None].astype(np.uint16)
    return ((image * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def _display_matrix(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """(transpose, flip_x, flip_y) of the frame's display matrix: quarter turns and mirror images."""
    side_data: Any = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
