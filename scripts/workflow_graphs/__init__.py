"""What the pack's workflows consist of, a module per family; ``make_workflows.py`` writes them."""

from .graph import Workflow
from .host_landmarks import HOST_LANDMARKS
from .megactor import (
    ANIMATE_PORTRAIT,
    KSAMPLER_NATIVE_MODEL,
    LONG_VIDEO,
    OFFICIAL_MEGACTOR,
    STEP_BY_STEP,
)
from .sigma import SIGMA_SOUND, SIGMA_VIDEO_AND_SOUND
from .xportrait import XPORTRAIT, XPORTRAIT_FEW_STEPS

__all__ = ["WORKFLOWS", "Workflow"]

WORKFLOWS = (
    ANIMATE_PORTRAIT,
    STEP_BY_STEP,
    KSAMPLER_NATIVE_MODEL,
    LONG_VIDEO,
    HOST_LANDMARKS,
    OFFICIAL_MEGACTOR,
    SIGMA_SOUND,
    SIGMA_VIDEO_AND_SOUND,
    XPORTRAIT,
    XPORTRAIT_FEW_STEPS,
)
