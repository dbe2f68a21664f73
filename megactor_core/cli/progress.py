"""The progress bar of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from ..sampling.sampler import Progress

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class AnimationBar:
    """A progress bar over a clip, a context manager: it fills once while sampling and once while writing."""

    def __init__(self, num_frames: int) -> None:
        self._num_frames = num_frames
        self._bar: tqdm | None = None
        self._stage = ""

    def __enter__(self) -> AnimationBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def sampling(self, progress: Progress) -> None:
        """Call before each window."""
        done = (progress.step + progress.window / progress.num_windows) / progress.num_steps
        self._show("sampling", f"step {progress.step + 1}/{progress.num_steps}", done)

    def written(self, index: int) -> None:
        """Call after each frame."""
        done = (index + 1) / self._num_frames
        self._show("writing", f"frame {index + 1}/{self._num_frames}", done)

    def _show(self, stage: str, text: str, done: float) -> None:
        if self._bar is None or stage != self._stage:
            # Made at the first step, so that an input refused before it ends in one line.
            if self._bar is not None:
                self._bar.update(100 - self._bar.n)
                self._bar.close()
            self._bar = tqdm(total=100, desc=stage, bar_format=_FORMAT)
            self._stage = stage
        self._bar.set_description_str(f"{stage} {text}", refresh=False)
        if done:
            seconds = self._bar.format_dict["elapsed"] / (done * self._num_frames)
            self._bar.set_postfix_str(f"{seconds:.2f} s/frame", refresh=False)
        self._bar.update(100 * done - self._bar.n)
