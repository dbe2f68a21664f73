"""A process that speaks with espeak-ng: requests on its input, answers on its output, a JSON line each.

A program of its own, on the standard library alone: espeak-ng is under another licence (GPL 3) and is neither
bundled nor linked, its state is global, and a process that has spoken before says the same words a few
samples longer or shorter. So each request is answered by a fork of a process that never speaks itself and has
no threads, which is what makes the sound depend on the request alone.

    python server.py LIBRARY DATA_FOLDER

The first line tells ``version``. A request has ``text``, ``voice``, ``rate`` (words per minute), ``pitch``
and ``range`` (0 to 100); the answer ``rate`` (samples per second), ``samples`` (int16, base64) and
``phonemes`` (first sample and mnemonic). What went wrong is an answer with ``error``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import signal
import sys
from typing import Any

# Of speak_lib.h.
_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_END_OF_LIST, _PHONEME = 0, 7


class _Identifier(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """``espeak_EVENT``; ``sample`` counts from the beginning of the text."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Speaker:
    def __init__(self, library: str, data: str) -> None:
        self._espeak = ctypes.CDLL(library)
        self.rate = self._espeak.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _PHONEME_EVENTS)
        if self.rate <= 0:
            raise OSError(f"espeak-ng does not start with the data in {data}")
        # Breath and other noise; without this its seed is the time of day.
        self._espeak.espeak_ng_SetRandSeed(ctypes.c_long(0))
        self._espeak.espeak_Info.restype = ctypes.c_char_p
        self.version = self._espeak.espeak_Info(None).decode().split()[0]

    def speak(self, request: dict[str, Any]) -> dict[str, Any]:
        pieces: list[bytes] = []
        phonemes: list[tuple[int, str]] = []

        def collect(samples: Any, count: int, events: Any) -> int:
            if samples and count > 0:
                pieces.append(ctypes.string_at(samples, 2 * count))
            index = 0
            while events[index].type != _END_OF_LIST:
                if events[index].type == _PHONEME:
                    phonemes.append(
                        (events[index].sample, events[index].id.string.decode("utf-8", "replace"))
                    )
                index += 1
            return 0

        callback = _Callback(collect)
        self._espeak.espeak_SetSynthCallback(callback)
        if self._espeak.espeak_SetVoiceByName(request["voice"].encode()):
            return {"error": f"has no voice {request['voice']}"}
        for parameter, name in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "range")):
            self._espeak.espeak_SetParameter(parameter, request[name], 0)
        text = request["text"].encode()
        self._espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        self._espeak.espeak_Synchronize()
        samples = base64.b64encode(b"".join(pieces)).decode()
        return {"rate": self.rate, "samples": samples, "phonemes": phonemes}


def _answer(speaker: _Speaker, line: str) -> None:
    child = os.fork()
    if child == 0:
        _write(speaker.speak(json.loads(line)))
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        _write({"error": "stopped in the midst of speaking"})


def _write(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _main(library: str, data: str) -> None:
    # Ctrl-C reaches the whole group; only the parent acts on it, and its end ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        speaker = _Speaker(library, data)
    except OSError as error:
        _write({"error": f"cannot be loaded ({error})"})
        return
    _write({"version": speaker.version})
    # Not read ahead, so that a fork finds nothing of later requests in its buffer.
    for line in iter(sys.stdin.readline, ""):
        _answer(speaker, line)


if __name__ == "__main__":
    _main(*sys.argv[1:])
