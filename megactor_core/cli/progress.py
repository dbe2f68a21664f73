"""The progress bar of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from megactor_core.sampling.sampler import Progress


class AnimationBar:
    """A progress bar over the frames of the clip: sampled first, then written."""

    def __init__(self, num_frames: int) -> None:
        self._num_frames = num_frames
        self._bar: tqdm | None = None

    def __enter__(self) -> AnimationBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def sampling(self, progress: Progress) -> None:
        """Before each window."""
        done = (progress.step + progress.window / progress.num_windows) / progress.num_steps
        self._show(f"sampling step {progress.step + 1}/{progress.num_steps}", done)

    def written(self, index: int) -> None:
        """After each frame."""
        self._show(f"writing frame {index + 1}/{self._num_frames}", (index + 1) / self._num_frames)

    def _show(self, text: str, done: float) -> None:
        if self._bar is None:
            # Made at the first step, so that an input refused before it ends in one line.
            form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=100, bar_format=form)
        elif self._bar.desc.split()[0] != text.split()[0]:
            self._bar.reset()
        self._bar.set_description_str(text, refresh=False)
        if done:
            seconds = self._bar.format_dict["elapsed"] / (done * self._num_frames)
            self._bar.set_postfix_str(f"{seconds:.2f} s/frame", refresh=False)
        self._bar.update(100 * done - self._bar.n)
