"""Progress in the node, with previews; every report is also where a cancel takes effect."""

from __future__ import annotations

import time
from collections.abc import Callable

import comfy.model_management
import comfy.utils
from PIL import Image

_LONGEST_SIDE = 512
_WORK_PER_PREVIEW = 15
"""Work between two previews, in times of what a preview takes: small models outrun their own VAE."""


class NodeProgress:
    """The bar of the node that runs.

    Args:
        total: parts of the work.
    """

    def __init__(self, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(total)

    def report(self, done: int, preview: Image.Image | None = None) -> None:
        """Show how many parts are done, and a picture.

        Raises:
            InterruptProcessingException: the user has cancelled; it is no ``Exception``.
        """
        # the bar itself looks for a cancel only when it is drawn anew
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(done, preview=preview and ("JPEG", preview, _LONGEST_SIDE))


class PreviewPace:
    """Lets previews be drawn as often as they cost little.

    Args:
        pause: seconds between two of them at least.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause
        self._next = 0.0

    def draw(self, picture: Callable[[], Image.Image]) -> Image.Image | None:
        """A preview where it is time for one, else None."""
        begin = time.monotonic()
        if begin < self._next:
            return None
        preview = picture()
        end = time.monotonic()
        self._next = end + max(self._pause, (end - begin) * _WORK_PER_PREVIEW)
        return preview
