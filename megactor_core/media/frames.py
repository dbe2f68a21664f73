"""One decoded video frame to RGB as shown: colour matrix, rotation metadata, non-square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

# ITU-T H.273 code for "unspecified". Players then go by the height: BT.709 for high definition, else BT.601.
UNSPECIFIED_COLORSPACE = 2
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
    """

    coded_size: tuple[int, int]
    transpose: bool
    flip_x: bool
    flip_y: bool

    @classmethod
    def for_stream(cls, first: VideoFrame, sample_aspect_ratio: Fraction | None) -> FrameConverter:
        """Read the geometry from the first decoded frame and the stream's pixel shape (None or 0: square)."""
        width = max(1, round(first.width * (sample_aspect_ratio or 1)))
        return cls((width, first.height), *_display_matrix(first))

    @property
    def width(self) -> int:
        """Pixels as shown."""
        return self.coded_size[1 if self.transpose else 0]

    @property
    def height(self) -> int:
        """Pixels as shown."""
        return self.coded_size[0 if self.transpose else 1]

    def to_rgb(self, frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        """(H, W, 3) uint8 RGB, contiguous and writable; ``reformatter`` keeps its tables between frames."""
        width, height = self.coded_size
        colorspace = frame.colorspace
        if colorspace == UNSPECIFIED_COLORSPACE:
            colorspace = Colorspace.ITU709 if frame.height > STANDARD_DEFINITION_HEIGHT else Colorspace.ITU601
        full_range = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        converted = reformatter.reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=colorspace,
            dst_colorspace=Colorspace.ITU601,  # without effect on RGB, but older PyAV skips equal ones
            src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=SCALING_FLAGS,
        )
        image = converted.to_ndarray()
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


def _display_matrix(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """(transpose, flip_x, flip_y) of the frame's display matrix: quarter turns and mirror images."""
    side_data: Any = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
