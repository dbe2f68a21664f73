"""Render examples/portrait.png and examples/driving.mp4: two puppets that no training can contain.

python scripts/make_examples.py --overwrite
"""

from __future__ import annotations

import argparse
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from megactor_core.media.pictures import save_picture
from megactor_core.media.writing import VideoWriter
from megactor_core.puppets.clips import FRAME_RATE, sample_clip
from megactor_core.puppets.motion import MOTION_NAMES, NEUTRAL_MOTION
from megactor_core.puppets.renderer import Puppet

SEED = 7
PORTRAIT, DRIVER, MOTION = 0, 10, 105
"""Numbers of the held-out clips whose persons and motion are shown."""
NUM_FRAMES = 64
SIZE = 256
SOUND_RATE = 24000


def voice(opening: NDArray[np.float32], frame_rate: int) -> NDArray[np.int16]:
    """A humming voice that is as loud as the mouth is open; (samples,) at ``SOUND_RATE``.

    Args:
        opening: (F,) in 0..1.
        frame_rate: frames per second.
    """
    times = np.arange(len(opening) * SOUND_RATE // frame_rate) / SOUND_RATE
    loudness = np.interp(times, (np.arange(len(opening)) + 0.5) / frame_rate, opening)
    pitch = 150 + 25 * np.sin(2 * np.pi * 0.9 * times) + 30 * loudness
    phase = 2 * np.pi * np.cumsum(pitch) / SOUND_RATE
    # The mouth's resonance rises as it opens, as from "oo" to "ah".
    resonance = 400 + 500 * loudness
    sound = np.zeros_like(times)
    for harmonic in range(1, 13):
        weight = np.exp(-(((harmonic * pitch - resonance) / 350) ** 2)) + 0.3 / harmonic**2
        sound += weight * np.sin(harmonic * phase)
    sound *= loudness / np.abs(sound * loudness).max()
    return (sound * 0.4 * 32767).astype(np.int16)


def write_wave(path: Path, samples: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(samples.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("examples"), help="folder (default: examples)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    pose = NEUTRAL_MOTION.copy()
    pose[MOTION_NAMES.index("smile")] = 0.5
    portrait = Puppet(sample_clip(SEED, PORTRAIT, 1, "held-out").identity, SIZE)
    save_picture(args.output / "portrait.png", portrait.image(pose), args.overwrite)

    motion = sample_clip(SEED, MOTION, NUM_FRAMES, "held-out").motion
    driver = Puppet(sample_clip(SEED, DRIVER, 1, "held-out").identity, SIZE)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "voice.wav"
        write_wave(sound, voice(motion[:, MOTION_NAMES.index("mouth_open")], FRAME_RATE))
        path = args.output / "driving.mp4"
        rate = Fraction(FRAME_RATE)
        with VideoWriter(path, SIZE, SIZE, rate, audio_source=sound, overwrite=args.overwrite) as writer:
            for frame in motion:
                writer.write(driver.image(frame))


if __name__ == "__main__":
    main()
