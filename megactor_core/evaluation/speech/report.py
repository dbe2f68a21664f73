"""The report of a test of speech: a dictionary for JSON, a table for people, a sheet of pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...media.contact_sheet import sheet_indices
from ...media.pictures import Images
from ...puppets.motion import MOUTH_COLUMNS
from ...puppets.speech.corpus import SpeechCorpus
from ...weights.download import file_sha256
from ...weights.loading import LoadedModel
from ..model_record import model_record
from .drives import SpeakingPuppet
from .evaluate import SpeechSettings
from .reading import SpeechReading
from .scores import OPEN, Numbers, SpeechScores, clip_lag

Report = dict[str, Any]


def build_report(
    model: LoadedModel, settings: SpeechSettings, corpus: SpeechCorpus, readings: Sequence[SpeechReading]
) -> Report:
    """Report of a test of speech, ready for JSON; equal on every run of a machine.

    Keys: ``model`` (folder, sha256 of each file); ``corpus`` (file, sha256, speech engine); ``settings``;
    ``measures`` (see ``SpeechScores.all``); ``clips`` (of each clip text, voice, lag, and the curves of the
    opening: frames ``at`` which it was read, ``truth``, ``loudness``, and by drive what was read).
    """
    return {
        "model": model_record(model),
        "corpus": {
            "file": str(corpus.path),
            "sha256": file_sha256(corpus.path),
            "engine": corpus.library,
        },
        "settings": dataclasses.asdict(settings),
        "measures": SpeechScores(readings, settings.seed).all(),
        "clips": [_clip(reading, corpus) for reading in readings],
    }


def _clip(reading: SpeechReading, corpus: SpeechCorpus) -> Report:
    said = corpus.utterances[reading.utterance]
    lag = clip_lag(reading, "own") if "own" in reading.mouths else None
    opening = reading.motion[reading.at, MOUTH_COLUMNS[OPEN]]
    return {
        "index": reading.index,
        "text": said.text,
        "voice": said.voice,
        "lag": lag,
        "at": reading.at.tolist(),
        "truth": _rounded(opening),
        "loudness": _rounded(reading.loudness[reading.at]),
        "read": {name: _rounded(mouth[:, OPEN]) for name, mouth in reading.mouths.items()},
    }


def _rounded(curve: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in curve]


Row = tuple[str, str, list[Numbers | None]]
"""A line of a table: what it says, its format, and a number with interval for every column; None: none."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        title: what the numbers are.
        meaning: what they say, and what beside them keeps them honest.
        columns: heads of the columns.
        rows: see ``Row``.
    """

    title: str
    meaning: str
    columns: tuple[str, ...]
    rows: list[Row]


_LABELS = {"mouth_open": "opening", "mouth_width": "width", "smile": "smile"}


def tables(measures: Numbers) -> list[Table]:
    """The numbers as tables, those of the parts that were measured."""
    found = []
    for name, make in (
        ("mouth", _mouth),
        ("lag", _lag),
        ("closure", _closure),
        ("stillness", _stillness),
        ("amplitude", _amplitude),
        ("decoupling", _decoupling),
        ("rest", _rest),
        ("shortcut", _shortcut),
    ):
        if name in measures:
            found.append(make(measures[name]))
    return found


def _mouth(numbers: Numbers) -> Table:
    columns = ("own", "shuffled", "silent", "gap", "autoencoder", "truth")
    rows: list[Row] = [
        (_LABELS[name], "+.2f", [row.get(column) for column in columns]) for name, row in numbers.items()
    ]
    return Table(
        "correlation with the spoken mouth",
        "own: the clip's speech is heard; shuffled: another clip's; gap: own less shuffled; autoencoder and "
        "truth: how well true frames are read",
        columns,
        rows,
    )


def _lag(numbers: Numbers) -> Table:
    columns = ("own", "shuffled", "autoencoder", "truth")
    given = [numbers.get(name) for name in columns]

    def row(label: str, key: str) -> Row:
        values = [None if one is None else one[key] for one in given]
        return label, ".2f", [_plain(one) if isinstance(one, float) else one for one in values]

    return Table(
        "lag of the opening",
        "share of the clips whose lips are best at this lag, of -5 to 5 frames; shuffled: what chance gives",
        columns,
        [row("on time", "at_0"), row("within 1 frame", "within_1"), row("median, frames", "median")],
    )


def _closure(numbers: Numbers) -> Table:
    columns = ("own", "shuffled", "always_closed", "autoencoder", "truth")
    return Table(
        "closed lips",
        f"F1 of frames with closed lips, which {numbers['share']:.0%} of the true frames have",
        columns,
        [("F1", ".2f", [numbers.get(name) for name in columns])],
    )


def _stillness(numbers: Numbers) -> Table:
    rows: list[Row] = [
        (label, ".3f", [numbers[name], numbers.get(f"truth_{name}")])
        for name, label in (
            ("pauses", "in pauses of speech"),
            ("silence", "in silence"),
            ("speech", "while speech is heard"),
        )
    ]
    rows.append(("mean opening in silence", ".3f", [numbers["level"], None]))
    return Table(
        "stillness",
        "standard deviation of the opening; a mouth that never moves is still: see while speech is heard",
        ("output", "truth"),
        rows,
    )


def _amplitude(numbers: list[Numbers]) -> Table:
    rows: list[Row] = [
        (f"amplitude {one['amplitude']:g}", ".2f", [one["deviation"], one["relative"], one["correlation"]])
        for one in numbers
    ]
    return Table(
        "amplitude of speech",
        "standard deviation of the opening, that relative to amplitude 1, and correlation with the truth",
        ("deviation", "relative", "correlation"),
        rows,
    )


def _decoupling(numbers: Numbers) -> Table:
    rows: list[Row] = [
        ("driver's mouth hidden, speech heard", "+.2f", [numbers["hidden_sound"], numbers["hidden_driver"]]),
        ("driver's mouth at rest, speech heard", "+.2f", [numbers["own_sound"], None]),
        ("driver's mouth shown, silence", "+.2f", [None, numbers["shown_driver"]]),
        ("chance: both truths", "+.2f", [None, numbers["driver_and_sound"]]),
    ]
    return Table(
        "decoupling",
        "correlation of the opening with that of the speech, and with that of the driver",
        ("speech", "driver"),
        rows,
    )


def _rest(numbers: Numbers) -> Table:
    means = numbers["correlation"]["mean"]
    psnr = numbers["psnr"]
    return Table(
        "rest of the face",
        "mean correlation of the other twelve parameters, and PSNR outside the lower face in dB",
        ("speech", "silence", "autoencoder", "copy"),
        [
            ("correlation", "+.2f", [_plain(means["own"]), _plain(means["silent"]), None, None]),
            ("PSNR, dB", ".2f", [psnr[name] for name in ("own", "silent", "autoencoder", "copy")]),
        ],
    )


def _shortcut(numbers: Numbers) -> Table:
    return Table(
        "shortcut index",
        "mean absolute correlation of the brows that are shown with the mouth's opening, in silence; a model "
        "that paints no brows, or no motion, has none either",
        ("output", "chance"),
        [
            ("index", ".2f", [numbers["index"], numbers["chance"]]),
            ("painted brows with shown ones", "+.2f", [numbers["brows"], None]),
            ("deviation of the opening", ".3f", [numbers["deviation"], None]),
        ],
    )


def _plain(value: float) -> Numbers:
    return {"mean": value, "low": None, "high": None}


def shown(number: Numbers | None, form: str) -> str:
    """A number for people, without its interval."""
    return "–" if number is None or number["mean"] is None else format(number["mean"], form)


def format_report(report: Report) -> str:
    """The tables as plain text."""
    lines = []
    for table in tables(report["measures"]):
        lines.append(f"{table.title:38}" + "".join(f"{column:>14}" for column in table.columns))
        for label, form, values in table.rows:
            lines.append(f"  {label:36}" + "".join(f"{shown(value, form):>14}" for value in values))
    return "\n".join(lines)


CLIPS = 4
"""Clips that a sheet has room for."""


def speech_rows(puppet: SpeakingPuppet, outputs: Mapping[str, Images]) -> Images:
    """One clip of a sheet, uint8 (height, width, 3): the driver with the portrait at its left, the truth, and
    what came out with its own speech and in silence."""
    indices = sheet_indices(len(puppet.truth_frames))
    blank = np.full_like(puppet.reference.image, 255)
    shown_outputs = [outputs[name] for name in ("own", "silent") if name in outputs]
    rows = [(puppet.reference.image, puppet.driver_frames), (blank, puppet.truth_frames)]
    rows += [(blank, frames) for frames in shown_outputs]
    return np.vstack([np.hstack([first, *frames[indices]]) for first, frames in rows])
