"""Workflows of MegActor-Sigma: speech alone, and speech with a driving video."""

from __future__ import annotations

from .graph import Group, Node, Workflow, note
from .parts import (
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

OFFICIAL = "megactor-sigma (official)"

SIGMA_SOUND = Workflow(
    "7_sigma_speech",
    (
        (
            Group(
                "1  Load",
                (
                    load(OFFICIAL),
                    example(),
                    Node("sound", "GetVideoComponents", {"video": "example.driving"}, width=340),
                ),
            ),
            note(
                "Speech alone",
                470,
                """
                    # Speech makes a portrait talk

                    No driving video is needed: the sound moves the mouth and decides how long the clip
                    is; the portrait blinks and sways by itself.

                    **The first time**, set **download** to true and press Run: several GB are fetched
                    into `models/megactor`, checked and converted. With download false nothing is ever
                    fetched; the error says which files go where.

                    **Your own files:** put *Load Image* with a photograph in the place of the portrait
                    and *Load Audio* with your speech in the place of *Get Video Components*, which takes
                    the example's sound. Any format, rate and length will do.

                    **speech** in *Motion Amplitude*: how far the mouth moves, 1 as the model was made.
                    **blink, sway**: 0 keeps eyes or head still. The eyes are found by the face detector,
                    230 KB, see the README; without it speech drives alone.

                    The makers of this pack have run this graph with tiny random weights only, not with
                    these files, nor on a graphics card: tell them how it goes.
                """,
            ),
        ),
        (
            Group(
                "2  Animate",
                (
                    Node("amplitude", "MegActorMotionAmplitude", width=340),
                    animate({"audio": "sound.audio", "amplitude": "amplitude.amplitude"}),
                ),
            ),
        ),
        (Group("3  Save", (save_video("animate.video", "speech"),)),),
    ),
)

AMPLITUDE = Node(
    "amplitude",
    "MegActorMotionAmplitude",
    widgets={"speech": 1.2, "head_motion_keyframes": "0: 1, 8: 0.3, 15: 1"},
    width=340,
    preview=90,  # nodes drawn by Vue have higher fields for text
    advanced=True,
)

ENCODE_AUDIO = Node(
    "audio",
    "MegActorEncodeAudio",
    {
        "model": "load.model",
        "audio": "prepare.audio",
        "frame_rate": "prepare.frame_rate",
        "num_frames": "prepare.num_frames",
    },
)

SIGMA_VIDEO_AND_SOUND = Workflow(
    "8_sigma_video_and_speech",
    (
        (
            Group("1  Load", (load(OFFICIAL), example(), AMPLITUDE)),
            note(
                "Video and speech",
                520,
                """
                    # Eyes from a video, mouth from the sound

                    **mode eyes** shows the model the driver's eyes and brows; *Encode Audio* moves the
                    mouth. Here the sound is the driving video's own. For another one, put *Load Audio*
                    in the place of both links from **audio** of *Prepare Driving*.

                    **Motion Amplitude** scales each source of motion, 1 as driven, 0 still. **keyframes**
                    go before the number: `0: 1, 8: 0.3, 15: 1` calms the head in frame 8. They may also
                    be one number per frame. A clip shorter than its last keyframe is refused.

                    ## Two things are needed first

                    **The model:** set **download** to true and press Run; several GB are fetched into
                    `models/megactor`, checked and converted.

                    **The face detector** finds the eyes:
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
                (
                    look(),
                    prepare("eyes", portrait="look.portrait", amplitude="amplitude.amplitude"),
                ),
            ),
        ),
        (Group("3  Condition", (encode_reference(), encode_driving(), ENCODE_AUDIO)),),
        (Group("4  Sample", (sample({"audio": "audio.audio", "amplitude": "amplitude.amplitude"}),)),),
        (
            Group(
                "5  Deliver",
                (
                    decode("sample.latent"),
                    create_video("decode.IMAGE"),
                    save_video("create.VIDEO", "video_and_speech"),
                ),
            ),
        ),
    ),
)
