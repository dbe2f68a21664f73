"""espeak-ng in a process of its own: from text and voice to sound with the time of every phoneme."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from . import server


@dataclass(frozen=True)
class Line:
    """What is to be said, and how.

    Attributes:
        text: words.
        voice: espeak-ng's name of a language and a variant, such as "en-us+f3".
        rate: words per minute.
        pitch: 0 to 100.
        range: liveliness of the pitch, 0 to 100.
    """

    text: str
    voice: str
    rate: int
    pitch: int
    range: int


@dataclass(frozen=True, eq=False)
class Speech:
    """A line that was said.

    Attributes:
        samples: int16 (n,), mono.
        rate: samples per second.
        phonemes: first sample and espeak-ng's mnemonic of each, in order; a pause begins with "_".
    """

    samples: NDArray[np.int16]
    rate: int
    phonemes: tuple[tuple[int, str], ...]


class SpeechEngine:
    """The running engine, a context manager; the same line is always the same sound.

    Raises:
        InputError: the package espeakng-loader is not installed, its library cannot be loaded, or the system
            has no fork; from ``speak``: the engine refused the line.

    Attributes:
        version: the library's version and the beginning of its SHA-256; sounds of other versions differ.
    """

    version: str

    def __enter__(self) -> SpeechEngine:
        try:
            import espeakng_loader
        except ImportError as error:
            remedy = "Run: pip install 'megactor[speech]', or pip install espeakng-loader"
            raise InputError("speech", "needs the package espeakng-loader (GPL 3)", remedy) from error
        if not hasattr(os, "fork"):
            remedy = "Make the corpus on Linux or macOS; it is used on any system"
            raise InputError("speech", "needs a system that can fork processes", remedy)
        library = Path(espeakng_loader.get_library_path())
        # Isolated: none of the file's neighbours here is to be taken for a module of Python's own.
        command = [sys.executable, "-I", server.__file__, str(library), espeakng_loader.get_data_path()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        try:
            version = self._read()["version"]
        except InputError:
            self._stop()
            raise
        self.version = f"{version} {hashlib.sha256(library.read_bytes()).hexdigest()[:16]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def speak(self, line: Line) -> Speech:
        """Say a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(line)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise _ended() from None
        answer = self._read()
        samples = np.frombuffer(base64.b64decode(answer["samples"]), np.int16)
        return Speech(samples, answer["rate"], tuple((first, name) for first, name in answer["phonemes"]))

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise _ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError("espeak-ng", answer["error"], "Install another version of espeakng-loader")
        return answer

    def _stop(self) -> None:
        # The process ends with its input.
        self._process.communicate()


def _ended() -> InputError:
    return InputError("espeak-ng", "its process has ended", "Run the command again")
