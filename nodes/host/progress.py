"""Progress in the node, with previews; every report is also where a cancel takes effect."""

from __future__ import annotations

import comfy.model_management
import comfy.utils
from PIL import Image

_LONGEST_SIDE = 512


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
