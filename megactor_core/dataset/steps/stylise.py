"""Step ``stylise``: the same clip in another style."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ...errors import InputError
from ..clip_file import ClipFile, encode_clip
from ..settings import Kept, StyliseSettings
from ..shards import CLIP, STYLED, Entry, name_bytes


class Styliser:
    """Adds ``mp4_styled``: every frame through image-to-image, with the same noise in all frames of a clip.

    Args:
        settings: model, prompt, strength.

    Raises:
        InputError: the model cannot be loaded.

    Source: MegActor (arXiv 2405.20851), section 3.2, and its public data scripts: SDXL-turbo at 512 pixels,
    strength 0.5, 30 steps, a fixed seed.
    """

    def __init__(self, settings: StyliseSettings) -> None:
        from diffusers import AutoPipelineForImage2Image

        self._settings = settings
        device = settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if device == "cpu" else torch.float16
        try:
            pipeline = AutoPipelineForImage2Image.from_pretrained(settings.model, torch_dtype=dtype)
        except (OSError, ValueError) as error:
            problem = f"cannot be loaded ({str(error).strip().splitlines()[0]})"
            raise InputError(
                settings.model, problem, "Give the folder or name of a diffusers pipeline"
            ) from error
        self._pipeline: Any = pipeline.to(device)
        self._pipeline.set_progress_bar_config(disable=True)

    def __call__(self, clip: Entry) -> Kept:
        """Stylise all frames."""
        seed = int(np.random.default_rng([self._settings.seed, *name_bytes(clip.key)]).integers(2**31))
        with ClipFile(clip.read(CLIP)) as reader:
            styled = encode_clip(self._styled(reader.frames(), seed), reader.size, reader.frame_rate)
        return Kept({**clip.sample(), STYLED: styled})

    def _styled(self, images: Iterable[NDArray[np.uint8]], seed: int) -> Iterator[NDArray[np.uint8]]:
        settings, frames = self._settings, iter(images)
        while batch := list(islice(frames, settings.batch_size)):
            height, width = batch[0].shape[:2]
            scale = settings.size / max(height, width)
            shown = (max(8, round(width * scale / 8) * 8), max(8, round(height * scale / 8) * 8))
            pictures = self._pipeline(
                prompt=[settings.prompt] * len(batch),
                image=[Image.fromarray(image).resize(shown, Image.Resampling.LANCZOS) for image in batch],
                strength=settings.strength,
                num_inference_steps=settings.num_inference_steps,
                guidance_scale=settings.guidance_scale,
                generator=[torch.Generator().manual_seed(seed) for _ in batch],
            ).images
            for picture in pictures:
                yield np.array(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
