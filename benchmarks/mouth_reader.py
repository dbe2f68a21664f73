"""Measure how well mouths are read from speech: correlation, closed lips and lag on held-out utterances.

python -m benchmarks.mouth_reader --speech runs/speech.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from megactor_core.hearing.mouth_reader import load_mouth_reader
from megactor_core.puppets.speech.corpus import SpeechCorpus
from megactor_core.training.tasks.mouth_reader import measure_reader


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path, required=True, help="corpus of dataset speech")
    parser.add_argument("--reader", type=Path, help="folder of a trained reader; default: the bundled one")
    args = parser.parse_args()
    corpus = SpeechCorpus.read(args.speech)
    utterances = corpus.of_split("held-out")
    print(f"{len(utterances)} held-out utterances")
    for name, value in measure_reader(load_mouth_reader(args.reader), corpus, utterances).items():
        print(f"  {name}: {value:.3f}")


if __name__ == "__main__":
    main()
