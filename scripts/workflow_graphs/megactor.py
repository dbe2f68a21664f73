"""Workflows of MegActor: in one node, step by step, in KSampler, on long videos, with official weights."""

from __future__ import annotations

from .graph import Group, Node, Workflow, note
from .parts import (
    CONDITIONS,
    PASTE_BACK,
    animate,
    create_video,
    decode,
    encode_driving,
    encode_reference,
    example,
    load,
    look,
    prepare,
    sample,
    save_video,
)

OFFICIAL = "megactor (official)"

DRIVER = {"driving": "example.driving"}

BACKGROUND = Node(
    "background",
    "MegActorEncodeBackground",
    {"model": "load.model", "background": "look.background", "clip_vision": "load.clip_vision"},
)
CONDITION = (encode_reference(), BACKGROUND, encode_driving())
BEHIND = {"background": "background.background"}

ANIMATE_PORTRAIT = Workflow(
    "1_animate_portrait",
    (
        (
            Group("1  Load", (load(), example())),
            note(
                "Animate a portrait",
                330,
                """
                    # A portrait that moves like the driver

                    Press **Run**. The portrait of the example gets the expressions of the driving video;
                    the result plays in *Save Video* and lies in `output/video`. It has the driver's frame
                    rate and sound.

                    **max_frames** is 16, so that the first result comes soon; 0 takes the whole driving
                    video.

                    **Your own files:** put *Load Image* in the place of the portrait and *Load Video* in
                    the place of the driving video. The pack needs to know where the faces are unless they
                    fill the middle of the picture: see workflow 5, or *face detector* in the README.

                    **The demo weights** are 19 MB and run on any computer, at 128 x 128 pixels. They know
                    drawn faces only; for photographs take the official weights, workflow 6.
                """,
            ),
        ),
        (Group("2  Animate", (animate(DRIVER, max_frames=16),)),),
        (Group("3  Save", (save_video("animate.video", "portrait"),)),),
    ),
)

STEP_BY_STEP = Workflow(
    "2_step_by_step",
    (
        (
            Group("1  Load", (load(), example())),
            note(
                "Step by step",
                420,
                """
                    # The same, step by step

                    Every step of *Animate Portrait* is a node here: each shows what it does, and each can
                    be replaced. A step runs again only when something it depends on has changed: a new
                    seed samples anew, a new portrait does not encode the driver again.

                    **2 Look**: where the faces are, what is person and what is background, and what the
                    model is shown of the driver.

                    **3 Condition**: the pictures become what the denoiser reads.

                    **4 Sample**: from noise to the clip; the node shows it on the way.

                    **5 Deliver**: back into the whole picture, with the driver's frame rate and sound.

                    **Your own files:** put *Load Image* in the place of the portrait and *Load Video* in
                    the place of the driving video. The pack needs to know where the faces are unless they
                    fill the middle of the picture: see workflow 5, or *face detector* in the README.
                """,
            ),
        ),
        (Group("2  Look", (look(), prepare())),),
        (Group("3  Condition", CONDITION),),
        (Group("4  Sample", (sample(BEHIND),)),),
        (Group("5  Deliver", (decode("sample.latent"), PASTE_BACK, create_video("paste.frames"))),),
        (Group("6  Save", (save_video("create.VIDEO", "step_by_step"),)),),
    ),
)

APPLY = Node("apply", "MegActorApply", CONDITIONS | BEHIND)
KSAMPLER = Node(
    "sample",
    "KSampler",
    {
        "model": "apply.model",
        "positive": "apply.positive",
        "negative": "apply.negative",
        "latent_image": "apply.latent",
    },
    {"seed": 42, "steps": 10, "cfg": 1.0, "sampler_name": "ddim", "scheduler": "simple", "denoise": 1.0},
    width=300,
    preview=320,
)

KSAMPLER_NATIVE_MODEL = Workflow(
    "3_ksampler_native_model",
    (
        (
            Group("1  Load", (load(), example())),
            note(
                "A native MODEL",
                400,
                """
                    # Sample with KSampler

                    *Apply MegActor* gives an ordinary MODEL, positive and negative conditioning, and an
                    empty latent with as many frames as the driving video. What works on a MODEL goes
                    between it and *KSampler*: LoRA loaders, EasyCache, LazyCache, TorchCompileModel,
                    Context Windows, RescaleCFG; SamplerCustomAdvanced works too.

                    **The demo weights** want sampler ddim, scheduler simple, 10 steps, cfg 1.

                    **Without effect or not possible** on this model: PerturbedAttentionGuidance,
                    SelfAttentionGuidance, HyperTile, Token Merging, FreeU, ControlNet. More in the help
                    of *Apply MegActor*.
                """,
            ),
        ),
        (Group("2  Look", (look(), prepare())),),
        (Group("3  Condition", CONDITION),),
        (Group("4  Apply", (APPLY,)),),
        (Group("5  Sample", (KSAMPLER,)),),
        (
            Group(
                "6  Deliver",
                (
                    decode("sample.LATENT"),
                    create_video("decode.IMAGE"),
                    save_video("create.VIDEO", "ksampler"),
                ),
            ),
        ),
    ),
)

LONG_VIDEO = Workflow(
    "4_long_video",
    (
        (
            Group("1  Load", (load(), example())),
            note(
                "Long videos",
                400,
                """
                    # Long driving videos

                    *Animate Portrait* reads, samples and writes in pieces: whatever the length of the
                    video, only its latents are kept. Put *Load Video* with your driving video in the
                    place of the example, which has 64 frames.

                    **start_frame, max_frames** choose a part of the driving video; its sound is cut to
                    match. Try a short part first. max_frames 0: up to the end.

                    **context_length**: frames that are denoised together; the models were trained with
                    16. **context_overlap**: frames that neighbouring windows share; more is steadier and
                    slower.

                    **lost_face**: what happens where the driver turns away. No frame is left out: the
                    result has as many as the part of the driving video.
                """,
            ),
        ),
        (
            Group(
                "2  Animate",
                (animate(DRIVER, advanced=True, max_frames=0, context_length=16, context_overlap=8),),
            ),
        ),
        (Group("3  Save", (save_video("animate.video", "long"),)),),
    ),
)


OFFICIAL_MEGACTOR = Workflow(
    "6_official_megactor",
    (
        (
            Group("1  Load", (load(OFFICIAL), example())),
            note(
                "Official MegActor weights",
                400,
                """
                    # The official weights

                    They are made for photographs, at 512 x 512 pixels, and want a graphics card.

                    **The first time**, set **download** to true and press Run: several GB are fetched
                    into `models/megactor`, checked and converted. An interrupted download goes on where
                    it stopped. With download false nothing is ever fetched; the error says which files go
                    where.

                    **Your own files:** put *Load Image* with a photograph in the place of the portrait
                    and *Load Video* in the place of the driving video; the example's faces are drawn.

                    **steps, guidance_scale**: 0 takes what the model was made with. guidance_scale 1
                    halves the work, with less likeness.

                    The makers of this pack have not run these files, nor a graphics card: tell them how
                    it goes.
                """,
            ),
        ),
        (Group("2  Animate", (animate(DRIVER, max_frames=16, paste_back=True),)),),
        (Group("3  Save", (save_video("animate.video", "official"),)),),
    ),
)
