"""Workflows in API format that the tests run, with the demo model and the pack's example."""

from __future__ import annotations

from typing import Any

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node; a link is ["node", number of the output]."""
    return {"class_type": class_type, "inputs": inputs}


def clip_graph(*, frames: int = 4, steps: int = 2, seed: int = 1) -> Graph:
    """The full graph, step by step; node "frames" shows the clip as pictures."""
    model, reference, background = ["model", 0], ["reference", 0], ["background", 0]
    return {
        "model": node("MegActorLoadModel", model="demo (bundled)", download=False),
        "example": node("MegActorExampleInputs"),
        "segment": node(
            "MegActorSegmentReference", model=model, image=["example", 0], crop="whole", face=-1, size=0
        ),
        "reference": node(
            "MegActorEncodeReference",
            model=model,
            portrait=["segment", 0],
            foreground=["segment", 1],
            seed=42,
        ),
        "background": node("MegActorEncodeBackground", model=model, background=["segment", 2]),
        "prepare": node(
            "MegActorPrepareDriving",
            model=model,
            video=["example", 1],
            crop="whole",
            mode="plain",
            lost_face="hold",
            start_frame=0,
            max_frames=frames,
            frame_rate=25.0,
            face=-1,
            smoothing=0.0,
            size=0,
        ),
        "driving": node("MegActorEncodeDriving", model=model, condition=["prepare", 0]),
        "sampler": node(
            "MegActorSampler",
            model=model,
            reference=reference,
            background=background,
            driving=["driving", 0],
            seed=seed,
            steps=steps,
            guidance_scale=0.0,
            scheduler="ddim",
            context_length=0,
            context_overlap=-1,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["model", 1]),
        "frames": node("PreviewImage", images=["decode", 0]),
    }
