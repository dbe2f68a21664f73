"""The core's context windows as the host's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.context_windows
import comfy.patcher_extension
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ....megactor_core.sampling.sampler import SamplingSettings
from ....megactor_core.sampling.windows import window_weights
from .start_noise import RUN, Run

_KEY = "megactor_windows"


def use_context_windows(patcher: ModelPatcher, settings: SamplingSettings) -> None:
    """Let stock samplers denoise clips in the windows that the core's sampler would use.

    A Context Windows node behind it takes their place.
    """
    patcher.model_options["context_handler"] = ModelWindows(settings)
    patcher.add_wrapper_with_key(
        comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, _KEY, _reckon_with_one_window
    )


class ModelWindows(comfy.context_windows.IndexListContextHandler):
    """The host's windows at the frames of the core's, which may move with every step and repeat frames."""

    def __init__(self, settings: SamplingSettings) -> None:
        self.settings = settings
        host = comfy.context_windows
        super().__init__(
            context_schedule=host.ContextSchedule(_KEY, self._windows),
            fuse_method=host.ContextFuseMethod(_KEY, self._weights),
            context_length=settings.context_length,
            context_overlap=settings.context_overlap,
            closed_loop=settings.closed_loop,
            # the motion modules look both ways: no frame is put before a window
            causal_window_fix=False,
        )

    def longest(self, num_frames: int) -> int:
        """Frames of the longest window of a clip."""
        return max(map(len, self.settings.windows(num_frames, 0)))

    def should_use_context(
        self, model: Any, conds: Any, x_in: Tensor, timestep: Tensor, model_options: dict[str, Any]
    ) -> bool:
        """Also for a short clip where the grid moves: it may be cut, turned or repeated."""
        return self.settings.window_grid != "fixed" or len(x_in) > self.context_length

    def get_context_windows(
        self, model: Any, x_in: Tensor, model_options: dict[str, Any]
    ) -> list[comfy.context_windows.IndexListContextWindow]:
        windows = self.context_schedule.func(len(x_in), self, model_options)
        return [_Window(window, total_frames=len(x_in)) for window in windows]

    def combine_context_window_results(
        self, x_in: Tensor, sub_conds_out: list[Tensor], sub_conds: Any, window: Any, *arguments: Any
    ) -> None:
        """Of a frame that a window repeats, the last prediction counts."""
        last = _last_places(window.index_list)
        kept = [prediction[last] for prediction in sub_conds_out]
        super().combine_context_window_results(x_in, kept, sub_conds, window, *arguments)

    def _windows(self, num_frames: int, handler: Any, model_options: dict[str, Any]) -> list[list[int]]:
        run: Run = model_options["transformer_options"][RUN]
        settings = self.settings if run.seed is None else replace(self.settings, seed=run.seed)
        return settings.windows(num_frames, self._step)

    def _weights(self, length: int, idxs: list[int], **options: Any) -> list[float]:
        weights = window_weights(length, self.settings.window_weights)
        return [weights[place] for place in _last_places(idxs)]


class _Window(comfy.context_windows.IndexListContextWindow):
    """A window that repeats the only frame of a clip like any other, where the host's does not."""

    def get_tensor(
        self,
        full: Tensor,
        device: Any = None,
        dim: int | None = None,
        retain_index_list: list[int] = [],  # noqa: B006 - the host's signature
    ) -> Tensor:
        if len(full) == 1 and not dim:
            return full[self.index_list].to(device)
        return super().get_tensor(full, device, dim, retain_index_list)


def _last_places(indices: list[int]) -> list[int]:
    """For every frame of a window, the last place where it occurs in it."""
    places = {index: place for place, index in enumerate(indices)}
    return [places[index] for index in indices]


def _reckon_with_one_window(
    executor: Any, model: Any, noise_shape: Any, *arguments: Any, **options: Any
) -> Any:
    """The memory of one window is what a run needs, not that of the whole clip."""
    handler = options["model_options"].get("context_handler")
    if isinstance(handler, ModelWindows):
        noise_shape = [handler.longest(noise_shape[0]), *noise_shape[1:]]
    return executor(model, noise_shape, *arguments, **options)
