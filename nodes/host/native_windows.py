"""The core's context windows as the host's."""

from __future__ import annotations

from typing import Any

import comfy.context_windows
from comfy.model_patcher import ModelPatcher

from ...megactor_core.sampling.sampler import SamplingSettings
from ...megactor_core.sampling.windows import context_windows


def use_context_windows(patcher: ModelPatcher, settings: SamplingSettings) -> None:
    """Let stock samplers denoise long clips in the windows that the core's sampler would use.

    A Context Windows node behind it takes their place.
    """

    def schedule(num_frames: int, handler: Any, model_options: Any) -> list[list[int]]:
        return context_windows(
            num_frames, settings.context_length, settings.context_overlap, settings.closed_loop
        )

    patcher.model_options["context_handler"] = comfy.context_windows.IndexListContextHandler(
        context_schedule=comfy.context_windows.ContextSchedule("megactor", schedule),
        fuse_method=comfy.context_windows.get_matching_fuse_method(settings.window_weights),
        context_length=settings.context_length,
        context_overlap=settings.context_overlap,
        closed_loop=settings.closed_loop,
        # the motion modules look both ways: no frame is put before a window
        causal_window_fix=False,
    )
    # the host then reckons the memory of one window instead of the whole clip
    comfy.context_windows.create_prepare_sampling_wrapper(patcher)
