"""Measure how well mouths are read from speech: correlation, closed lips and lag on held-out utterances.

python -m benchmarks.mouth_reader --speech runs/speech.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from megactor_core.hearing.lip_sync import lag_correlations
from megactor_core.hearing.mouth_reader import MOUTH, load_mouth_reader
from megactor_core.puppets.clips import FRAME_RATE
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.puppets.speech.mouth import mouth_curve

CLOSED, READ_CLOSED = 0.12, 0.16
"""Openings of a mouth that is closed in truth, and that is read as closed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True, help="corpus of dataset speech")
    parser.add_argument("--reader", type=Path, help="folder of a trained reader; default: the bundled one")
    args = parser.parse_args()
    corpus, reader = SpeechCorpus.read(args.speech), load_mouth_reader(args.reader)
    read, true, lags = [], [], []
    for number in corpus.of_split("held-out"):
        utterance = corpus.utterances[number]
        times = np.arange(int(utterance.duration * FRAME_RATE)) / FRAME_RATE
        read.append(reader.read(corpus.sound(number), times))
        true.append(mouth_curve(utterance.phonemes, times))
        at_lags = lag_correlations(read[-1][:, 0], true[-1][:, 0])
        lags.append(int(np.nanargmax(at_lags)) - len(at_lags) // 2)
    heard, said = np.concatenate(read), np.concatenate(true)
    print(f"{len(read)} held-out utterances, {len(said)} frames")
    for index, name in enumerate(MOUTH):
        print(f"  r of {name}: {np.corrcoef(heard[:, index], said[:, index])[0, 1]:.3f}")
    closed, read_closed = said[:, 0] < CLOSED, heard[:, 0] < READ_CLOSED
    print(f"  F1 of closed lips: {2 * (closed & read_closed).sum() / (closed.sum() + read_closed.sum()):.3f}")
    print(f"  lag 0: {np.mean(np.array(lags) == 0):.3f}, within 1: {np.mean(np.abs(lags) <= 1):.3f}")


if __name__ == "__main__":
    main()
