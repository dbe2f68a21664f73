"""Task: train an audio encoder and a linear head to read the mouth from synthetic speech."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import InputError
from ...evaluation.measures.lip_motion import CLOSED, READ_CLOSED
from ...hearing.features import standardise
from ...hearing.lip_sync import LARGEST_LAG, lag_correlations
from ...hearing.mouth_reader import (
    MOUTH,
    MouthHead,
    MouthReader,
    save_mouth_reader,
)
from ...models.audio_encoder import ConvAudioEncoder
from ...puppets.clips import FRAME_RATE
from ...puppets.speech.corpus import SpeechCorpus
from ...puppets.speech.mouth import mouth_curve
from ..config.mouth_reader import MouthReaderTaskConfig
from ..data.loader import Batch, BatchPart
from ..data.speech import SpeechWindows
from ..distributed import ProcessGroup
from .base import StepContext

_DEVIATIONS = (0.2, 0.3, 0.1)
"""About those of opening, width and smile in speech: an error counts in parts of them."""

_MEASURED = 200
"""Training utterances of which mean and deviation of the features are taken."""


class MouthReaderTask:
    """Squared error of opening, width and smile, 50 times a second.

    Raises:
        InputError: the corpus cannot be used.
    """

    def __init__(self, config: MouthReaderTaskConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        if config.audio_encoder.window_positions:
            subject, problem = "task.audio_encoder.window_positions", "are nothing that a mouth is read by"
            raise InputError(subject, problem, "Switch it off; a denoiser that hears learns its own")
        self.corpus = SpeechCorpus.read(config.speech)
        self.corpus.of_split("held-out")
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.encoder = ConvAudioEncoder(config.audio_encoder)
            self.head = MouthHead(config.audio_encoder)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"audio_encoder": self.encoder, "mouth_head": self.head}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return ()

    @property
    def family(self) -> str:
        return "mouth_reader"

    @property
    def batch_size(self) -> int:
        return self.config.batch_size

    def trainable(self, name: str) -> bool:
        return True

    def dataset(self, processes: ProcessGroup) -> Dataset[Batch]:
        single = SpeechWindows(self.config, self.corpus, self.seed)
        return BatchPart(single, self.config.batch_size, processes.part(self.config.batch_size))

    def set_gradient_checkpointing(self) -> None:
        raise InputError("gradient_checkpointing", "is not needed for a network as small", "Switch it off")

    def loss(self, batch: Batch, context: StepContext) -> tuple[Tensor, Mapping[str, Tensor]]:
        read = self.head(self.encoder(batch["mel"])).float()
        error = ((read - batch["mouth"]) / read.new_tensor(_DEVIATIONS)).square()
        parts = {f"mse_{name}": part.detach() for name, part in zip(MOUTH, error.mean((0, 1)), strict=True)}
        return error.mean(), parts

    def held_out_loss(self, device: torch.device) -> Mapping[str, float]:
        """Nothing: no noise is drawn, so validation measures the same every time."""
        return {}

    def model_in_training(self) -> None:
        return None

    def validate(self, device: torch.device, folder: Path | None) -> Mapping[str, float]:
        """See ``measure_reader``, of so many held-out utterances as the config says."""
        numbers = self.corpus.of_split("held-out")[: self.config.validation_utterances]
        return measure_reader(MouthReader(self.encoder, self.head), self.corpus, numbers)

    def export(self, folder: Path | None) -> None:
        """See ``save_mouth_reader``; features are standardised where the configuration says so."""
        reader = MouthReader(copy.deepcopy(self.encoder).eval(), copy.deepcopy(self.head))
        if reader.encoder.scale is not None:
            numbers = self.corpus.of_split("train")[:_MEASURED]
            mean, deviation = standardise(reader.encoder, (self.corpus.sound(number) for number in numbers))
            with torch.no_grad():
                # The head has learnt from features as they were.
                reader.head.bias.add_(reader.head.weight @ mean.flatten())
                reader.head.weight.mul_(deviation.flatten())
        save_mouth_reader(self.config.audio_encoder, reader, folder)


def measure_reader(reader: MouthReader, corpus: SpeechCorpus, utterances: Sequence[int]) -> dict[str, float]:
    """Agreement with the true mouths of some utterances, unchanged, at 25 frames a second.

    ``r_open``, ``r_width``, ``r_smile``: correlation over all frames; ``lag_0`` and ``lag_1``: shares of
    utterances whose opening fits best where it is, and at most a frame away; ``closure``: F1 score of closed
    frames.
    """
    reads, truths, lags = [], [], []
    for number in utterances:
        utterance = corpus.utterances[number]
        times = np.arange(int(utterance.duration * FRAME_RATE)) / FRAME_RATE
        reads.append(reader.read(corpus.sound(number), times))
        truths.append(mouth_curve(utterance.phonemes, times))
        found = lag_correlations(reads[-1][:, 0], truths[-1][:, 0])
        lags.append(abs(int(np.nanargmax(found)) - LARGEST_LAG))
    read, truth = np.concatenate(reads), np.concatenate(truths)
    closed, told = truth[:, 0] < CLOSED, read[:, 0] < READ_CLOSED
    return {
        **{
            f"r_{name}": float(np.corrcoef(read[:, column], truth[:, column])[0, 1])
            for column, name in enumerate(MOUTH)
        },
        "lag_0": float(np.mean(np.array(lags) == 0)),
        "lag_1": float(np.mean(np.array(lags) <= 1)),
        "closure": float(2 * (closed & told).sum() / max(1, closed.sum() + told.sum())),
    }
