"""Check weights on disk: presence, sizes, digests, keys, and that every number is finite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..families.family import KnownFile
from .catalogue import catalogue
from .download import check_file, file_sha256, is_present, local_path
from .folders import model_names, named_model_folder


@dataclass(frozen=True)
class Finding:
    """The state of one file.

    Attributes:
        path: the file.
        problem: what is wrong with it, one line; None if nothing is.
        detail: what was checked.
    """

    path: Path
    problem: str | None
    detail: str


def verify(
    target: str | os.PathLike[str] | None = None, folder: str | os.PathLike[str] | None = None
) -> Iterator[Finding]:
    """Check a model folder, one weight file, or everything in the models folder.

    Args:
        target: model name, path of a model folder or of a file; None checks all that is here.
        folder: models folder; see ``models_folder``.

    Raises:
        InputError: ``target`` is no model and no file.
    """
    if target is None:
        for known in catalogue():
            if is_present(known, folder):
                yield from _verify_known(known, folder)
        for name in model_names():
            if (named_model_folder(name, folder) / "config.json").is_file():
                yield from _verify_model(named_model_folder(name, folder))
        return
    known_here = {local_path(k, folder).resolve(): k for k in catalogue()}.get(Path(target).resolve())
    if known_here is not None:
        yield from _verify_known(known_here, folder)
    elif Path(target).is_file():
        yield _verify_tensors(Path(target))
    else:
        from .loading import resolve_model

        yield from _verify_model(resolve_model(target, folder))


def _verify_known(known: KnownFile, folder: str | os.PathLike[str] | None) -> Iterator[Finding]:
    path = local_path(known, folder)
    if known.is_folder:
        for file in sorted(p for p in path.iterdir() if p.suffix in (".safetensors", ".bin")):
            yield _verify_tensors(file)
    elif known.sha256 is None:
        yield _verify_tensors(path)
    else:
        yield Finding(path, check_file(path, known.size, known.sha256), "size and sha256")


def _verify_model(folder: Path) -> Iterator[Finding]:
    from .loading import build_on_meta, open_network_file, read_config

    networks = build_on_meta(read_config(folder), folder)
    for name, network in networks.items():
        try:
            open_network_file(folder, name, network)
        except InputError as error:
            yield Finding(folder / f"{name}.safetensors", error.problem, "keys and shapes")
        else:
            yield _verify_tensors(folder / f"{name}.safetensors")


def _verify_tensors(path: Path) -> Finding:
    from .layout import recognise
    from .tensor_files import is_finite, open_tensor_file

    try:
        file = open_tensor_file(path)
        for name, tensor in file.stream(file.shapes):
            if tensor.is_floating_point() and not is_finite(tensor):
                return Finding(path, f"{file.key(name)} holds NaN or infinity", "finite numbers")
    except InputError as error:
        return Finding(path, error.problem, "readable")
    parts = [recognise(file.shapes).description, f"{len(file.shapes)} tensors", file.choice]
    return Finding(path, None, ", ".join([*filter(None, parts), f"sha256 {file_sha256(path)}"]))
