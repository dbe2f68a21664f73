"""The measures of real clips: what each says, and which need what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: in the report.
        label: for people.
        unit: empty for a plain number.
        higher_is_better: else lower.
        decimals: that are shown.
        meaning: one sentence.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    meaning: str

    def text(self, value: float | None) -> str:
        """A value for people."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


MEASURES = (
    Measure("psnr", "PSNR", "dB", True, 2, "closeness of the pixels to the truth"),
    Measure("ssim", "SSIM", "", True, 3, "likeness of the pictures' structure to the truth"),
    Measure("lpips", "LPIPS", "", False, 3, "unlikeness to the truth in the features of AlexNet"),
    Measure(
        "temporal_lpips",
        "temporal LPIPS",
        "×100",
        False,
        2,
        "how much more or less neighbouring frames differ than the driver's do",
    ),
    Measure("expression", "expression", "×100", False, 2, "mean difference of MediaPipe's blendshapes"),
    Measure("pose", "head pose", "°", False, 1, "angle between the head's orientation and the driver's"),
    Measure("gaze", "gaze", "°", False, 1, "angle between the eyes' direction in the head and the driver's"),
    Measure("identity", "identity", "", True, 3, "cosine of face embeddings of output and portrait"),
    Measure("face_rate", "face found", "%", True, 1, "share of the frames that show a face"),
)
"""Measures of every frame, in the order of the report."""

FVD = Measure("fvd", "FVD", "", False, 1, "distance of all clips' video features from the drivers'")

AGAINST_TRUTH = ("psnr", "ssim", "lpips")
"""Measures that need the truth, which only self-reenactment has."""

WORST_FIRST = {"self": ("lpips", "psnr"), "cross": ("expression", "pose", "identity", "face_rate")}
"""What clips are ranked by to show the worst: the first of these that was measured."""


def by_name(name: str) -> Measure:
    """A measure of ``MEASURES`` or ``FVD``."""
    return next(measure for measure in (*MEASURES, FVD) if measure.name == name)
