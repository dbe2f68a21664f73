"""Node: how much each of X-Portrait's ControlNets counts, and when."""

from __future__ import annotations

from comfy_api.latest import io

from . import types

_NETWORKS = {"face": "the ControlNet of the whole face", "patch": "the ControlNet of eyes and mouth"}


class ControlStrength(io.ComfyNode):
    """Widgets in, strengths out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MegActorControlStrength",
            display_name="Control Strength",
            category="MegActor",
            description="How much X-Portrait's two ControlNets count and in which part of denoising: one "
            "sees the driver's whole face, the other its eyes and mouth.",
            search_aliases=["controlnet strength", "x-portrait", "start percent", "end percent"],
            inputs=[
                widget
                for name, network in _NETWORKS.items()
                for widget in (
                    io.Float.Input(
                        f"{name}_strength",
                        default=1.0,
                        min=0.0,
                        max=10.0,
                        step=0.01,
                        tooltip=f"How much {network} counts. 1: as trained, 0: not at all, which is faster.",
                    ),
                    _percent(f"{name}_start_percent", 0.0, f"{network} begins to count."),
                    _percent(f"{name}_end_percent", 1.0, f"{network} counts no more."),
                )
            ],
            outputs=[
                types.ControlStrengths.Output(
                    "control_strength",
                    tooltip="For Sample MegActor Clip, Apply MegActor or Animate Portrait.",
                )
            ],
        )

    @classmethod
    def execute(cls, **widgets: float) -> io.NodeOutput:
        from ..megactor_core.conditioning import conditions

        return io.NodeOutput(
            {
                f"{name}_control": conditions.ControlStrength(
                    widgets[f"{name}_strength"],
                    widgets[f"{name}_start_percent"],
                    widgets[f"{name}_end_percent"],
                )
                for name in _NETWORKS
            }
        )


def _percent(name: str, default: float, then: str) -> io.Float.Input:
    """A share of denoising, and what happens after it."""
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.001,
        advanced=True,
        tooltip=f"Share of denoising after which {then}",
    )
