"""A workflow in which ComfyUI's own nodes find faces and background."""

from __future__ import annotations

from .graph import Group, Node, Workflow, note
from .megactor import BEHIND, CONDITION
from .parts import (
    PASTE_BACK,
    create_video,
    decode,
    example,
    host_file,
    load,
    look,
    prepare,
    sample,
    save_video,
)


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
                    host_file(
                        "face_model",
                        "LoadMediaPipeFaceLandmarker",
                        "model_name",
                        "mediapipe_face_fp32.safetensors",
                        "Comfy-Org/mediapipe/detection/mediapipe_face_fp32.safetensors",
                        directory="detection",
                    ),
                    host_file(
                        "background_model",
                        "LoadBackgroundRemovalModel",
                        "bg_removal_name",
                        "birefnet.safetensors",
                        "Comfy-Org/BiRefNet/background_removal/birefnet.safetensors",
                        directory="background_removal",
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
        (Group("5  Sample", (sample(BEHIND),)),),
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
