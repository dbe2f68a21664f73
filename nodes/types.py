"""The pack's own wire types; each carries one frozen value of the core or of ``nodes.host``."""

from __future__ import annotations

from comfy_api.latest import io

Model = io.Custom("MEGACTOR_MODEL")
"""``nodes.host.portrait_model.PortraitModel``."""

Crop = io.Custom("MEGACTOR_CROP")
"""``megactor_core.vision.crops.Crop``: where the square was cut out of the picture."""

Reference = io.Custom("MEGACTOR_REFERENCE")
"""``megactor_core.models.conditions.ReferenceCondition``, on the host's intermediate device."""

Background = io.Custom("MEGACTOR_BACKGROUND")
"""``megactor_core.models.conditions.BackgroundCondition``, on the host's intermediate device."""

Driving = io.Custom("MEGACTOR_DRIVING")
"""``megactor_core.models.conditions.DrivingFeatures``, on the host's intermediate device."""

Audio = io.Custom("MEGACTOR_AUDIO")
"""``megactor_core.models.conditions.AudioCondition``, on the host's intermediate device."""

Motion = io.Custom("MEGACTOR_AMPLITUDE")
"""``megactor_core.motion.Motion``: how much of each source of motion counts."""

ControlStrengths = io.Custom("MEGACTOR_CONTROL_STRENGTH")
"""``megactor_core.models.conditions.ControlStrength`` by the ControlNet's name."""
