"""Writes ONNX files of one pooling layer, so that tests have networks of known behaviour.

The wire format of protocol buffers and the field numbers of onnx.proto (version 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FLOAT = 1


def write_pooling(path: Path, shape: Sequence[int], kernel: Sequence[int]) -> Path:
    """A network that averages blocks of its input and flattens them to one vector."""
    kernel_shape = [_field(1, b"kernel_shape"), *(_field(8, size) for size in kernel), _field(20, 7)]
    strides = [_field(1, b"strides"), *(_field(8, size) for size in kernel), _field(20, 7)]
    pool = _node("AveragePool", "input", "pooled", kernel_shape, strides)
    flatten = _node("Flatten", "pooled", "output")
    blocks = 1
    for size, step in zip(shape[2:], kernel, strict=True):
        blocks *= size // step
    graph = [
        _field(1, pool),
        _field(1, flatten),
        _field(2, b"pooling"),
        _field(11, _value("input", shape)),
        _field(12, _value("output", (shape[0], shape[1] * blocks))),
    ]
    opset = _field(8, _field(2, 13))
    path.write_bytes(_field(1, 8) + _field(7, b"".join(graph)) + opset)
    return path


def _node(kind: str, source: str, target: str, *attributes: list[bytes]) -> bytes:
    parts = [_field(1, source.encode()), _field(2, target.encode()), _field(4, kind.encode())]
    return b"".join([*parts, *(_field(5, b"".join(attribute)) for attribute in attributes)])


def _value(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(_field(1, _field(1, size)) for size in shape)
    tensor = _field(1, FLOAT) + _field(2, dimensions)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
