"""Frozen base of a model, kept apart from what was trained on it: which Stable Diffusion 1.5 it is.

A model folder of training holds no denoiser but its temporal modules, and ``base.json`` names the rest.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import write_text
from ..models.config import ModelConfig
from ..models.networks import Networks
from .base_model import spatial_sources
from .layout import reconcile_shape
from .saving import full, save_networks, write_tensors
from .tensor_files import TensorFile, open_tensor_file

RECORD = "base.json"
MOTION = "motion_modules.safetensors"
_MOTION_KEY = ".motion_modules."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseRecord:
    """Record of a base.

    Attributes:
        name: of its file or folder.
        sha256: of its weights, see ``base_sha256``.
        path: its file when it was last used; empty where it lies in the same folder.
    """

    name: str
    sha256: str
    path: str = ""

    def write(self, folder: Path) -> None:
        """Write ``base.json``."""
        write_text(folder / RECORD, json.dumps(asdict(self), indent=1) + "\n")


def read_record(folder: Path) -> BaseRecord | None:
    """The record in a model folder; None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return BaseRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(path, f"is no record of a base ({error})", "Export the model again") from error


def base_sha256(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Digest of a base's weights, in the order of their names and rounded to float16.

    So files of one base in float32 and in float16, by CompVis' or diffusers' names, have the same.
    """
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name}\n".encode())
        digest.update(tensor.half().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def spatial_weights(denoiser: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What a base gives of a denoiser, by name."""
    for name, tensor in sorted(denoiser.state_dict().items()):
        if _MOTION_KEY not in name:
            yield name, full(tensor.detach()).cpu()


def check_base_record(folder: Path, denoiser: nn.Module, base: Path) -> None:
    """Say in one line that a base is not the one that a model folder's networks were trained on.

    Args:
        folder: of the model; nothing is said without a record in it.
        denoiser: of the model, for names and shapes.
        base: file of the base that is used.
    """
    record = read_record(folder)
    if record is None:
        return
    file = open_tensor_file(base)
    sources = spatial_sources(file)
    shapes = {name: tensor.shape for name, tensor in denoiser.state_dict().items() if _MOTION_KEY not in name}
    names = sorted(shapes.keys() & sources.keys())
    tensors = zip(names, file.stream([sources[name] for name in names]), strict=True)
    if base_sha256((name, one.reshape(shapes[name])) for name, (_, one) in tensors) != record.sha256:
        _log.warning(
            "%s: is not the base that the model was trained on, which is %s (sha256 %s)",
            base, record.name, record.sha256,
        )  # fmt: skip


@dataclass(frozen=True)
class JoinedFile(TensorFile):
    """Temporal modules in one file, the base in another; ``path`` is that of the first."""

    base: TensorFile | None = None
    of_base: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """See ``TensorFile``."""
        assert self.base is not None
        return self.base.key(self.of_base[name]) if name in self.of_base else super().key(name)

    def renamed(self, name_of: Callable[[str], str | None]) -> TensorFile:
        """See ``TensorFile``; the names are the network's already."""
        return self

    def stream(self, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """See ``TensorFile``."""
        assert self.base is not None
        for from_base, group in itertools.groupby(names, self.of_base.__contains__):
            if not from_base:
                yield from super().stream(group)
                continue
            wanted = list(group)
            tensors = self.base.stream([self.of_base[name] for name in wanted])
            for name, (_, tensor) in zip(wanted, tensors, strict=True):
                yield name, tensor.reshape(self.shapes[name])


def open_joined(folder: Path, denoiser: nn.Module, base: Path | None = None) -> TensorFile:
    """The weights of a denoiser: temporal modules in the folder, the rest in a base.

    Args:
        folder: of the model, with a record.
        denoiser: on any device.
        base: a file of Stable Diffusion 1.5; by default the recorded one.

    Raises:
        InputError: the base is not there or is of another architecture.
    """
    record = read_record(folder)
    assert record is not None
    path = base or Path(record.path)
    if not path.is_file():
        raise InputError(
            folder, f"needs its base, {record.name}, which is not at {record.path}", "Give it with --base"
        )
    own, spatial = open_tensor_file(folder / MOTION), open_tensor_file(path)
    expected = {name: tuple(tensor.shape) for name, tensor in denoiser.state_dict().items()}
    sources = spatial_sources(spatial)
    of_base = {name: sources[name] for name in expected if _MOTION_KEY not in name and name in sources}
    shapes = {**own.shapes}
    for name, source in of_base.items():
        shape = spatial.shapes[source]
        shapes[name] = expected[name] if reconcile_shape(shape, expected[name]) else shape
    return JoinedFile(own.path, shapes, own.is_safetensors, own.stored, base=spatial, of_base=of_base)


def save_without_base(
    config: ModelConfig, networks: Networks, record: BaseRecord, folder: Path | None, dtype: torch.dtype
) -> None:
    """Write a model folder whose denoiser is its temporal modules and the record of a base.

    Args:
        config: of the model.
        networks: weights that are spread over processes are put together.
        record: of the base.
        folder: where to; None on processes that only help to put the weights together.
        dtype: of the written weights.

    Raises:
        InputError: the folder cannot be written.
    """
    motion = {
        name: full(tensor.detach()).to("cpu", dtype).contiguous()
        for name, tensor in networks.module("denoiser").state_dict().items()
        if _MOTION_KEY in name
    }
    if folder is not None:
        write_tensors(folder / MOTION, motion)
        record.write(folder)
    others = [(name, network) for name, network in networks.items() if name != "denoiser"]
    save_networks(others, config.to_dict(), "config.json", folder, dtype)


def record_of(folder: Path, networks: Networks) -> BaseRecord:
    """Record of the base under a loaded model, as one that is exported without it keeps it."""
    record = read_record(folder)
    sha256 = base_sha256(spatial_weights(networks.module("denoiser")))
    own = folder / "denoiser.safetensors"
    if record is None:
        return BaseRecord(folder.name, sha256, str(own.resolve()))
    return replace(record, sha256=sha256, path=str(own.resolve()) if own.is_file() else record.path)
