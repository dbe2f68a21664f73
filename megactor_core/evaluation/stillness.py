"""Pictures that drive themselves: nothing moves, so whatever is lost of a picture was lost on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..animator import Animator
from ..media.pictures import Images, load_picture
from ..media.source import pictures_source
from ..sampling.sampler import SamplingSettings
from ..vision.framing import CropMode
from ..weights.download import file_sha256
from ..weights.loading import LoadedModel
from .measures import pixels
from .measures.bootstrap import mean_with_interval
from .model_record import model_record

_FRAME_RATE = Fraction(25)

OF = ("output", "autoencoder")
"""What is compared with a picture: its animation, and what its autoencoder alone keeps of it."""


@dataclass(frozen=True, eq=False)
class StillPicture:
    """One picture that has driven itself.

    Attributes:
        name: of the file.
        sha256: of the file.
        picture, decoded, output: its square; that through the autoencoder; the last frame of its animation:
            uint8 (S, S, 3).
        psnr: in dB against the square, by the names of ``OF``; of the animation the mean over its frames.
        sharpness: energy of the Laplacian over that of the square, by the same names.
    """

    name: str
    sha256: str
    picture: Images = field(repr=False)
    decoded: Images = field(repr=False)
    output: Images = field(repr=False)
    psnr: dict[str, float]
    sharpness: dict[str, float]


def animate_still(
    animator: Animator,
    path: Path,
    name: str,
    crop: CropMode,
    size: int,
    frames: int,
    settings: SamplingSettings,
) -> StillPicture:
    """Let a picture drive itself, as the command ``animate`` does.

    Args:
        animator: with the model.
        path: of the picture.
        name: what the report calls it.
        crop: the square that is taken of it, as portrait and as driver.
        size: side of the square in pixels.
        frames: of the clip, all alike.
        settings: how it is sampled.

    Raises:
        InputError: it cannot be read, or shows no face where one is needed.
    """
    image = load_picture(path)
    if crop != "squash":
        left, top, right, bottom = animator.segment_reference(image, size=size, crop=crop).crop.box
        crop = (float(left), float(top), float(right), float(bottom))
    shown: list[Images] = []
    with TemporaryDirectory() as folder:
        report = animator.animate(
            image,
            pictures_source([image] * frames, _FRAME_RATE),
            Path(folder) / "still.mp4",
            crop=crop,
            driving_crop=crop,
            size=size,
            settings=settings,
            on_frame=lambda _, frame: shown.append(frame),
        )
    square = report.portrait.picture
    decoded = next(iter(animator.decode(animator.encode_latents(square)[:, :, None])))
    compared = dict(zip(OF, (np.stack(shown), decoded[None]), strict=True))
    energy = max(pixels.sharpness(square[None]), 1e-6)  # a single colour has none
    return StillPicture(
        name,
        file_sha256(path),
        square,
        decoded,
        shown[-1],
        {of: pixels.psnr(images, square[None].repeat(len(images), 0)) for of, images in compared.items()},
        {of: pixels.sharpness(images) / energy for of, images in compared.items()},
    )


def build_report(
    model: LoadedModel,
    pictures: Sequence[StillPicture],
    size: int,
    crop: CropMode,
    frames: int,
    settings: SamplingSettings,
) -> dict[str, Any]:
    """``model`` (folder, sha256 of each file), ``settings``, ``means`` over the pictures with their
    intervals, and the ``pictures``; ready for JSON, equal on every run of a machine."""
    told = ("name", "sha256", "psnr", "sharpness")
    return {
        "model": model_record(model),
        "settings": {"size": size, "crop": crop, "frames": frames, "sampling": asdict(settings)},
        "means": {
            measure: {
                of: mean_with_interval(
                    np.array([getattr(one, measure)[of] for one in pictures]), settings.seed
                )
                for of in OF
            }
            for measure in ("psnr", "sharpness")
        },
        "pictures": [{key: getattr(one, key) for key in told} for one in pictures],
    }


def format_report(report: dict[str, Any]) -> str:
    """The numbers as a table of plain text."""
    columns = "".join(f"{of:>13}" for of in OF)
    lines = [
        f"{'':40}{'PSNR to the picture, dB':>26}{'sharpness over its own':>26}",
        f"{'':40}{columns * 2}",
    ]
    means = {
        key: {of: value["mean"] for of, value in values.items()} for key, values in report["means"].items()
    }
    for row in (*report["pictures"], {"name": "mean", **means}):
        numbers = [row[measure][of] for measure in ("psnr", "sharpness") for of in OF]
        lines.append(f"  {row['name'][-37:]:38}" + "".join(f"{number:13.2f}" for number in numbers))
    return "\n".join(lines)


def picture_sheet(pictures: Sequence[StillPicture]) -> Images:
    """Row by row: the pictures, what their autoencoder keeps, and what comes out; uint8 RGB."""
    rows = ("picture", "decoded", "output")
    return np.vstack([np.hstack([getattr(one, row) for one in pictures]) for row in rows])
