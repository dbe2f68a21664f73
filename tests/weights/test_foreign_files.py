"""What is no file of weights is refused in one line that says what it is, by ``weights verify``, too."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from megactor_core.cli.main import main
from megactor_core.errors import InputError
from megactor_core.weights.tensor_files import open_tensor_file
from megactor_core.weights.verify import verify

WEIGHTS = {"conv_in.weight": torch.ones(8, 4, 3, 3), "conv_in.bias": torch.ones(8)}


def safetensors(header: dict[str, object], data: bytes) -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    return buffer.getvalue()


def archive(compression: int, **entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def compressed() -> bytes:
    with zipfile.ZipFile(io.BytesIO(checkpoint())) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    return archive(zipfile.ZIP_DEFLATED, **entries)


def program() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


FOREIGN = {
    "page": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
    "page-after-space": (b"\n  <html lang=en>", "is a web page"),
    "xml": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "of Git LFS.*git lfs pull"),
    "hub": (b"Entry not found", "not a file of weights but text: 'Entry not found'"),
    "json": (b'{"error":"Repository not found"}', "text: .*Repository not found"),
    "gguf": (b"GGUF\x03" + bytes(99), "is a GGUF file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "gzip"),
    "photos": (archive(zipfile.ZIP_STORED, photo=b"x"), "an archive without weights"),
    "compressed": (compressed(), "was compressed after torch.save wrote it"),
    "program": (program(), "is a TorchScript program"),
    "pickle": (pickle.dumps({"a": 1}), "torch.save did not write"),
    "list": (None, "holds no weights by name"),
    "cut": (save(WEIGHTS)[:-9], "damaged or truncated"),
    "cut-checkpoint": (checkpoint()[:-99], "damaged or truncated"),
    "no-tensors": (safetensors({}, b""), "holds no weights"),
    "overlapping": (
        safetensors({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)), "offset for tensor `b`"
    ),
    "huge-shape": (safetensors({"a": entry(0, 4, [2**40, 2**40])}, bytes(4)), "damaged"),
    "huge-header": (struct.pack("<Q", 2**62) + b"{", "damaged"),
    "four-bits": (safetensors({"a.weight": entry(0, 4, [2, 4], "F4")}, bytes(4)), "of 4 or 6 bits"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), FOREIGN.values(), ids=FOREIGN)
def test_it_is_named(
    content: bytes | None, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.ckpt"
    if content is None:
        torch.save([torch.ones(2)], path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"file\.ckpt: .*{problem}"):
        open_tensor_file(path)
    assert main(["weights", "verify", str(path)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAILED") and second == "1 files checked, 1 with a problem"


@pytest.mark.parametrize("good", [checkpoint(), save(WEIGHTS)], ids=["checkpoint", "safetensors"])
def test_damage_anywhere_ends_in_one_line_or_in_numbers(good: bytes, tmp_path: Path) -> None:
    generator = random.Random(0)
    path = tmp_path / "file.bin"
    for _ in range(60):
        content = bytearray(good)
        for _ in range(generator.randint(1, 8)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        path.write_bytes(content[: generator.choice((len(content), generator.randrange(len(content))))])
        (finding,) = verify(path)
        assert "\n" not in (finding.problem or finding.detail)


def test_a_folder_and_a_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder\. Give the file"):
        open_tensor_file(tmp_path)
    with pytest.raises(InputError, match="there is no such file"):
        open_tensor_file(tmp_path / ("x" * 5000))
