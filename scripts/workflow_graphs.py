"""What the pack's workflows consist of; ``make_workflows.py`` writes them.

A graph is read from left to right: columns, in them groups and notes from top to bottom, in groups nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any


@dataclass(frozen=True)
class Node:
    """A node of the host or the pack.

    Attributes:
        name: by which links of this graph refer to it.
        type: its id.
        links: input to "name.output", e.g. "load.vae".
        widgets: values that differ from the defaults.
        width: at least, in the graph's pixels.
        preview: height of what the node shows when it has run.
        advanced: whether nodes drawn by Vue show their advanced widgets.
        properties: of the node in the graph.
    """

    name: str
    type: str
    links: dict[str, str] = field(default_factory=dict)
    widgets: dict[str, Any] = field(default_factory=dict)
    width: int = 260
    preview: int = 0
    advanced: bool = False
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """Text in the graph, Markdown."""

    title: str
    text: str
    height: int
    width: int = 340


@dataclass(frozen=True)
class Group:
    """A frame with a title around nodes that stand below each other."""

    title: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Workflow:
    """One template: ``workflows/NAME.json`` and ``workflows/api/NAME.json``.

    Attributes:
        name: shown in the template browser as it is.
    """

    name: str
    columns: tuple[tuple[Group | Note, ...], ...]


DEMO = "demo (bundled)"
OFFICIAL = "megactor (official)"
HUB = "https://huggingface.co/Comfy-Org"


def note(title: str, height: int, text: str) -> Note:
    """A note; lines of a paragraph are joined, since the page breaks them itself."""
    paragraphs = dedent(text).strip().split("\n\n")
    return Note(title, "\n\n".join(" ".join(lines.split("\n")) for lines in paragraphs), height)


def load(model: str = DEMO) -> Node:
    return Node("load", "MegActorLoadModel", widgets={"model": model}, width=340)


def example() -> Node:
    return Node("example", "MegActorExampleInputs", width=340)


def look(**links: str) -> Node:
    always = {"model": "load.model", "image": "example.portrait"}
    return Node("look", "MegActorSegmentReference", always | links, width=360, preview=220)


def prepare(**links: str) -> Node:
    always = {"model": "load.model", "video": "example.driving"}
    return Node(
        "prepare", "MegActorPrepareDriving", always | links, {"max_frames": 16}, width=360, preview=220
    )


CONDITION = (
    Node(
        "reference",
        "MegActorEncodeReference",
        {
            "model": "load.model",
            "portrait": "look.portrait",
            "foreground": "look.foreground",
            "vae": "load.vae",
        },
    ),
    Node(
        "background",
        "MegActorEncodeBackground",
        {"model": "load.model", "background": "look.background", "clip_vision": "load.clip_vision"},
    ),
    Node("driving", "MegActorEncodeDriving", {"model": "load.model", "condition": "prepare.condition"}),
)

CONDITIONS = {
    "model": "load.model",
    "reference": "reference.reference",
    "background": "background.background",
    "driving": "driving.driving",
}

SAMPLE = Node("sample", "MegActorSampler", CONDITIONS, {"seed": 42}, width=300, preview=320)


def decode(samples: str) -> Node:
    return Node("decode", "VAEDecode", {"samples": samples, "vae": "load.vae"}, width=230)


PASTE_BACK = Node(
    "paste",
    "MegActorPasteBack",
    {"frames": "decode.IMAGE", "crop": "look.crop", "image": "example.portrait"},
    width=230,
)


def create_video(images: str) -> Node:
    links = {"images": images, "fps": "prepare.frame_rate", "audio": "prepare.audio"}
    return Node("create", "CreateVideo", links, width=230)


def save_video(video: str, prefix: str) -> Node:
    widgets = {"filename_prefix": f"video/megactor_{prefix}"}
    return Node("save", "SaveVideo", {"video": video}, widgets, width=360, preview=400)


def animate(*, advanced: bool = False, **widgets: Any) -> Node:
    links = {"model": "load.model", "portrait": "example.portrait", "driving": "example.driving"}
    return Node(
        "animate",
        "MegActorAnimatePortrait",
        links,
        {"seed": 42} | widgets,
        width=340,
        preview=360,
        advanced=advanced,
    )


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
        (Group("2  Animate", (animate(max_frames=16),)),),
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
        (Group("4  Sample", (SAMPLE,)),),
        (Group("5  Deliver", (decode("sample.latent"), PASTE_BACK, create_video("paste.frames"))),),
        (Group("6  Save", (save_video("create.VIDEO", "step_by_step"),)),),
    ),
)

APPLY = Node("apply", "MegActorApply", CONDITIONS)
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
                (animate(advanced=True, max_frames=0, context_length=16, context_overlap=8),),
            ),
        ),
        (Group("3  Save", (save_video("animate.video", "long"),)),),
    ),
)


def host_model(name: str, type: str, widget: str, file: str, repository: str, directory: str) -> Node:
    """A loader of the host; where its file is missing, the page offers to fetch it."""
    url = f"{HUB}/{repository}/resolve/main/{directory}/{file}"
    models = [{"name": file, "url": url, "directory": directory}]
    return Node(name, type, widgets={widget: file}, width=340, properties={"models": models})


def detect_faces(name: str, image: str) -> Node:
    links = {"face_detection_model": "face_model.FACE_DETECTION_MODEL", "image": image}
    return Node(name, "MediaPipeFaceLandmarker", links, {"num_faces": 0}, width=320)


HOST_LANDMARKS = Workflow(
    "5_host_landmarks_and_background_removal",
    (
        (
            Group(
                "1  Load",
                (
                    load(),
                    example(),
                    host_model(
                        "face_model",
                        "LoadMediaPipeFaceLandmarker",
                        "model_name",
                        "mediapipe_face_fp32.safetensors",
                        "mediapipe",
                        "detection",
                    ),
                    host_model(
                        "background_model",
                        "LoadBackgroundRemovalModel",
                        "bg_removal_name",
                        "birefnet.safetensors",
                        "BiRefNet",
                        "background_removal",
                    ),
                ),
            ),
            note(
                "Faces and background",
                400,
                """
                    # ComfyUI finds the faces

                    ComfyUI's face landmarks tell the pack where the faces of portrait and driver are; its
                    background removal gives a clean outline of the person. Each link is optional.

                    ## Two files are needed first

                    `models/detection/mediapipe_face_fp32.safetensors` from
                    [Comfy-Org/mediapipe](https://huggingface.co/Comfy-Org/mediapipe)

                    `models/background_removal/birefnet.safetensors` from
                    [Comfy-Org/BiRefNet](https://huggingface.co/Comfy-Org/BiRefNet)

                    Then press **R**, so that the loaders see them.

                    They are made for photographs: put *Load Image* and *Load Video* with your own files
                    in the place of the example. Of several faces, **face** chooses one, counted from the
                    left.

                    **mode contour** shows the model only eyes, brows and mouth of the driver; it needs
                    the landmarks.
                """,
            ),
        ),
        (
            Group(
                "2  Find person and faces",
                (
                    Node(
                        "outline",
                        "RemoveBackground",
                        {"bg_removal_model": "background_model.bg_model", "image": "example.portrait"},
                        width=320,
                    ),
                    detect_faces("portrait_faces", "example.portrait"),
                    Node("frames", "GetVideoComponents", {"video": "example.driving"}, width=320),
                    detect_faces("driver_faces", "frames.images"),
                ),
            ),
        ),
        (
            Group(
                "3  Look",
                (
                    look(mask="outline.mask", face_landmarks="portrait_faces.face_landmarks"),
                    prepare(face_landmarks="driver_faces.face_landmarks"),
                ),
            ),
        ),
        (Group("4  Condition", CONDITION),),
        (Group("5  Sample", (SAMPLE,)),),
        (
            Group(
                "6  Deliver",
                (
                    decode("sample.latent"),
                    PASTE_BACK,
                    create_video("paste.frames"),
                    save_video("create.VIDEO", "landmarks"),
                ),
            ),
        ),
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
        (Group("2  Animate", (animate(max_frames=16, paste_back=True),)),),
        (Group("3  Save", (save_video("animate.video", "official"),)),),
    ),
)

WORKFLOWS = (
    ANIMATE_PORTRAIT,
    STEP_BY_STEP,
    KSAMPLER_NATIVE_MODEL,
    LONG_VIDEO,
    HOST_LANDMARKS,
    OFFICIAL_MEGACTOR,
)
