"""Workflows of X-Portrait: with all its controls, and in few steps."""

from __future__ import annotations

from dataclasses import replace

from .graph import Group, Node, Workflow, note
from .parts import (
    create_video,
    decode,
    encode_driving,
    encode_reference,
    example,
    host_file,
    load,
    look,
    prepare,
    sample,
    save_video,
)

OFFICIAL = "xportrait (official)"

DRIVING = encode_driving(patches="prepare.patches")
DELIVER = (decode("sample.latent"), create_video("decode.IMAGE"))

XPORTRAIT = Workflow(
    "9_xportrait",
    (
        (
            Group(
                "1  Load",
                (
                    load(OFFICIAL),
                    example(),
                    Node(
                        "second",
                        "ImageFlip",
                        {"image": "example.portrait"},
                        {"flip_method": "y-axis: horizontally"},
                        width=340,
                    ),
                ),
            ),
            note(
                "X-Portrait",
                560,
                """
                    # X-Portrait

                    Two ControlNets see the driver: one the whole frame, one only eyes and mouth, the
                    **patches** of *Prepare Driving*. **Control Strength** says how much each counts, and
                    in its advanced widgets from when to when, as ControlNet nodes do.

                    **Several pictures** of the person help with what one does not show. Here the mirrored
                    portrait stands for a second picture: put *Load Image* in its place, or remove its
                    three nodes.

                    **best_frame**, advanced: the driving frame whose face is laid over the portrait's.
                    -1 looks for it.

                    ## Two things are needed first

                    **The model:** set **download** to true and press Run; 12.3 GB are fetched into
                    `models/megactor`, checked and converted to about 6 GB.

                    **The face detector** finds eyes and mouth:
                    [face_detection_yunet_2023mar.onnx](https://huggingface.co/opencv/face_detection_yunet),
                    230 KB, into `models/megactor`. Or link ComfyUI's own landmarks as in workflow 5.

                    **Your own files:** *Load Image* and *Load Video* in the place of the example, whose
                    faces are drawn.

                    The makers of this pack have run this graph with tiny random weights only.
                """,
            ),
        ),
        (
            Group(
                "2  Look",
                (look(), prepare(portrait="look.portrait")),
            ),
        ),
        (
            Group(
                "3  Condition",
                (
                    encode_reference(more_references="second_reference.reference"),
                    DRIVING,
                    Node("strength", "MegActorControlStrength"),
                ),
            ),
            Group(
                "A second picture",
                (
                    replace(look("second_look", image="second.IMAGE"), width=260, preview=140),
                    encode_reference("second_reference", "second_look"),
                ),
            ),
        ),
        (Group("4  Sample", (sample({"control_strength": "strength.control_strength"}),)),),
        (Group("5  Deliver", (*DELIVER, save_video("create.VIDEO", "xportrait"))),),
    ),
)

LCM = host_file(
    "lora",
    "MegActorLoadLora",
    "lora",
    "lcm-lora-sdv1-5.safetensors",
    "latent-consistency/lcm-lora-sdv1-5/pytorch_lora_weights.safetensors",
    directory="loras",
    links={"model": "load.model"},
)
FEW_STEPS = {"steps": 6, "guidance_scale": 1.0, "scheduler": "lcm"}

XPORTRAIT_FEW_STEPS = Workflow(
    "10_xportrait_few_steps",
    (
        (
            Group("1  Load", (load(OFFICIAL), example())),
            note(
                "Few steps",
                480,
                """
                    # X-Portrait in few steps

                    A LoRA that was trained for few steps takes the place of guidance: **steps 6,
                    guidance_scale 1, scheduler lcm** instead of 31 steps with guidance: about an eighth
                    of the work.

                    *Load MegActor LoRA* takes LoRAs of Stable Diffusion 1.5; only sampling needs the model
                    with the LoRA. **report** lists what in the file did not fit.

                    ## Three things are needed first

                    **The model** and **the face detector**, as in workflow 9.

                    **The LoRA:** [pytorch_lora_weights.safetensors of
                    LCM-LoRA](https://huggingface.co/latent-consistency/lcm-lora-sdv1-5), 135 MB, saved as
                    `models/loras/lcm-lora-sdv1-5.safetensors`. Others of its kind, as Hyper-SD, go the same
                    way; choose theirs in the node and try their number of steps.

                    **Your own files:** *Load Image* and *Load Video* in the place of the example, whose
                    faces are drawn.

                    The makers of this pack have run this graph with tiny random weights only: how good
                    few steps look is for you to see.
                """,
            ),
        ),
        (Group("2  Look", (look(), prepare(portrait="look.portrait"))),),
        (Group("3  Condition", (encode_reference(), DRIVING)), Group("LoRA", (LCM,))),
        (Group("4  Sample", (sample({"model": "lora.model"}, **FEW_STEPS),)),),
        (Group("5  Deliver", (*DELIVER, save_video("create.VIDEO", "xportrait_few_steps"))),),
    ),
)
