"""Calibrate the landmark lip sync on puppets that speak: sound shifted by known amounts, and of others.

python -m benchmarks.lip_sync --speech runs/speech.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from megactor_core.hearing.lip_sync import LipSync, lip_sync
from megactor_core.hearing.mouth_reader import MouthReader, load_mouth_reader
from megactor_core.media.waveform import SAMPLE_RATE
from megactor_core.puppets.clips import FRAME_RATE
from megactor_core.puppets.renderer import Puppet
from megactor_core.puppets.speaking import SpeakingClip, sample_speaking_clip
from megactor_core.puppets.speech.corpus import SpeechCorpus

SHIFTS = (-8, -5, -2, -1, 0, 1, 2, 5, 8)
SIZE = 256


def landmarks_of(clip: SpeakingClip) -> np.ndarray:
    """Landmarks (F, 68, 2) of the puppet that speaks."""
    puppet = Puppet(clip.clip.identity, SIZE)
    return np.stack([puppet.frame(pose).landmarks for pose in clip.clip.motion])


def shifted(clip: SpeakingClip, frames: int) -> np.ndarray:
    """Sound of the clip after which the mouth comes by so many frames."""
    first = round((clip.start + frames / FRAME_RATE) * SAMPLE_RATE)
    length = len(clip.heard)
    padded = np.pad(clip.sound, (SAMPLE_RATE, SAMPLE_RATE))
    return padded[SAMPLE_RATE + first : SAMPLE_RATE + first + length]


def measure(landmarks: np.ndarray, sound: np.ndarray, reader: MouthReader) -> LipSync:
    return lip_sync(landmarks, sound, FRAME_RATE, reader)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True, help="corpus of dataset speech")
    parser.add_argument("--reader", type=Path, help="folder of a trained reader; default: the bundled one")
    parser.add_argument("--clips", type=int, default=30, help="clips (default: 30)")
    parser.add_argument("--frames", type=int, default=75, help="frames of each (default: 75)")
    args = parser.parse_args()
    corpus, reader = SpeechCorpus.read(args.speech), load_mouth_reader(args.reader)
    clips = [sample_speaking_clip(0, n, args.frames, corpus, "held-out") for n in range(args.clips)]
    seen = [landmarks_of(clip) for clip in clips]
    print(f"{args.clips} clips of {args.frames} frames, held-out voices and words")
    own: list[LipSync] = []
    for shift in SHIFTS:
        found = [measure(one, shifted(clip, shift), reader) for one, clip in zip(seen, clips, strict=True)]
        off = np.array([one.lag - shift for one in found])
        own += found
        print(
            f"  mouth {shift:+d} frames after the sound: lag exact {np.mean(off == 0):.2f}, "
            f"within 1 {np.mean(abs(off) <= 1):.2f}, r {np.mean([one.r for one in found]):.2f}"
        )
    others = [
        measure(one, clips[(n + step) % len(clips)].heard, reader)
        for n, one in enumerate(seen)
        for step in range(1, 6)
    ]
    for name, found in (("own sound", own), ("another's", others)):
        for value in ("r", "confidence"):
            low, middle, high = np.quantile([getattr(one, value) for one in found], (0.05, 0.5, 0.95))
            print(f"  {name}, {value}: {middle:.2f} ({low:.2f} to {high:.2f})")
    at_0 = [abs(one.r_at_0) for one in others]
    print(f"  another's, |r| as it is: {np.mean(at_0):.2f}")


if __name__ == "__main__":
    main()
