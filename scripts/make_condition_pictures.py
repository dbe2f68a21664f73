"""Make the pictures of the families whose official weights are not at hand: no results, but what goes in.

python scripts/make_condition_pictures.py

Writes workflows/*.jpg of MegActor-Sigma and X-Portrait and web/docs/images/*.png of their nodes: portrait,
driver and sound of the example, and what the models are shown of them. No running ComfyUI is needed.
"""

from __future__ import annotations

from fractions import Fraction

import make_examples as example
import numpy as np
from make_pictures import BACKGROUND, HELP, REPOSITORY, THUMBNAILS, arrow, grid, spread
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from megactor_core.media.pictures import load_picture
from megactor_core.media.source import pictures_source
from megactor_core.motion import Amplitude, Liveliness
from megactor_core.puppets.clips import FRAME_RATE, render_motion, sample_clip
from megactor_core.puppets.motion import MOTION_NAMES, NEUTRAL_MOTION
from megactor_core.puppets.renderer import Puppet
from megactor_core.vision.driving import PreparedDriving, prepare_driving
from megactor_core.vision.faces import Face
from megactor_core.vision.still import still_driving

SIDE = 256
HELP_SIDE = 112
BLUE = (110, 190, 250)

Picture = NDArray[np.uint8]


def grey(condition: NDArray[np.floating]) -> Image.Image:
    """A condition frame, 0..255, as a picture."""
    return Image.fromarray(condition.astype(np.uint8)).convert("RGB")


def hint(picture: NDArray[np.floating]) -> Image.Image:
    """What a ControlNet sees, in [-1, 1], as a picture."""
    return Image.fromarray(((picture + 1) * 127.5).astype(np.uint8))


def bars(heights: list[float], width: float = 0.8) -> Image.Image:
    """Bars beside each other on one line, their heights as shares of the picture's."""
    tile = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    draw, step = ImageDraw.Draw(tile), SIDE * 0.8 / len(heights)
    for index, height in enumerate(heights):
        left = SIDE * 0.1 + index * step
        draw.rectangle((left, SIDE * (0.85 - height), left + step * width, SIDE * 0.85), BLUE)
    return tile


def waveform(samples: NDArray[np.int16]) -> Image.Image:
    """Loudness of a sound over time as bars."""
    tile = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    draw, count = ImageDraw.Draw(tile), 32
    for index, part in enumerate(np.array_split(samples.astype(np.float64), count)):
        height = max(3, part.std() / 32767 * SIDE * 3)
        left = (index + 0.3) * SIDE / count
        draw.rectangle((left, (SIDE - height) / 2, left + SIDE / count * 0.5, (SIDE + height) / 2), BLUE)
    return tile


def steps(count: int) -> Image.Image:
    """Steps from noise to a picture."""
    return bars([0.7 * (count - index) / count for index in range(count)])


def shown(prepared: PreparedDriving, index: int) -> NDArray[np.float32]:
    """A frame's condition."""
    return list(prepared.conditions())[index]


def main() -> None:
    portrait = load_picture(REPOSITORY / "examples" / "portrait.png")
    pose = NEUTRAL_MOTION.copy()
    face = Puppet(sample_clip(example.SEED, example.PORTRAIT, 1, "held-out").identity, SIDE).frame(pose)
    motion = sample_clip(example.SEED, example.MOTION, example.NUM_FRAMES, "held-out").motion
    driver = sample_clip(example.SEED, example.DRIVER, 1, "held-out").identity
    frames, _, boxes, landmarks = render_motion(driver, motion, SIDE)
    opening = motion[:, MOTION_NAMES.index("mouth_open")]
    sound, widest = waveform(example.voice(opening, FRAME_RATE)), int(opening.argmax())

    rate = Fraction(FRAME_RATE)
    lively, times = Liveliness(), np.arange(10 * FRAME_RATE) / FRAME_RATE
    alone = still_driving(portrait, face.landmarks, len(times), rate, lively, np.ones(len(times)))
    opened, shut = shown(alone, 0), shown(alone, int(lively.openness(times).argmin()))
    faces = [
        (Face(tuple(box), landmarks=points),) for box, points in zip(boxes.tolist(), landmarks, strict=True)
    ]
    source = pictures_source(frames, rate)
    eyes = prepare_driving(
        source, SIDE, crop="whole", mode="eyes", faces=faces, portrait_landmarks=face.landmarks
    )
    hints = prepare_driving(
        source, SIDE, crop="whole", mode="hints", faces=faces, portrait_landmarks=face.landmarks
    )
    controls = list(hints.pictures())[widest]
    person, moved = Image.fromarray(portrait), Image.fromarray(frames[widest])
    patches = hint(controls["patch_control"])
    thumbnails = {
        "7_sigma_speech": [[person, sound], [grey(opened), grey(shut)]],
        "8_sigma_video_and_speech": [[person, sound], [moved, grey(shown(eyes, widest))]],
        "9_xportrait": [[person, moved], [hint(controls["face_control"]), patches]],
        "10_xportrait_few_steps": [[person, moved], [patches, steps(6)]],
    }
    for name, rows in thumbnails.items():
        grid(rows, SIDE).save(THUMBNAILS / f"{name}.jpg", quality=88)

    calmed = prepare_driving(
        source, SIDE, crop="whole", mode="eyes_mouth", faces=faces, amplitude=Amplitude(head_motion=0.3)
    )
    driven = prepare_driving(source, SIDE, crop="whole", mode="eyes_mouth", faces=faces)
    lead = arrow(SIDE)
    heard = [bars([0.1 + 0.6 * one for one in row]) for row in opening[: 6 * 8].reshape(6, 8)]
    help_pictures = {
        "MegActorEncodeAudio": [[sound, lead, *heard[:4]]],
        "MegActorMotionAmplitude": [
            spread([grey(one) for one in prepared.conditions()], 6) for prepared in (driven, calmed)
        ],
        "MegActorControlStrength": [[moved, lead, hint(controls["face_control"]), patches]],
        "MegActorLoadLora": [[steps(31), lead, steps(6)]],
    }
    for name, rows in help_pictures.items():
        grid(rows, HELP_SIDE).quantize(256).save(HELP / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
