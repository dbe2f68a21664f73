"""Models by the names that Load MegActor Model shows: where they are, and how an official one gets here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths

from ...megactor_core.errors import InputError
from ...megactor_core.families.registry import FAMILIES
from ...megactor_core.weights.catalogue import find_known
from ...megactor_core.weights.folders import named_model_folder

if TYPE_CHECKING:
    from ...megactor_core.families.family import Family, KnownFile
    from ...megactor_core.models.config import ModelConfig

FOLDER = "megactor"
"""Name of the models folder, also in ``extra_model_paths.yaml``."""

DEMO = "demo (bundled)"
# A name stays the same before and after the download, so that workflows that hold it stay valid.
_OFFICIAL = " (official)"
_CHECKPOINT_SUFFIXES = {".ckpt", ".safetensors", ".pt", ".pth", ".bin"}
_MODEL_FILES = ("config.json", "denoiser.safetensors")

OWN_BASE = "the model's own"
"""Stands where a checkpoint of the host could take the place of a model's base."""

OnBytes = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all of the file at hand; raise in it to stop."""


def register_folder() -> None:
    """Make ``models/megactor`` known to the host; folders of ``extra_model_paths.yaml`` come after it."""
    main = os.path.join(folder_paths.models_dir, FOLDER)
    folder_paths.add_model_folder_path(FOLDER, main, is_default=True)
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, _CHECKPOINT_SUFFIXES)


def list_models() -> list[str]:
    """Names to choose from: the demo, official families whether here or not, model folders, checkpoints."""
    found = _find_models()
    folders = [name for name, path in found.items() if path.is_dir()]
    files = [name for name, path in found.items() if path.is_file()]
    return [DEMO, *(f"{family}{_OFFICIAL}" for family in _published()), *sorted(folders), *sorted(files)]


def list_bases() -> list[str]:
    """Checkpoints of the host, any of which may be a base."""
    return folder_paths.get_filename_list("checkpoints")


def base_file(name: str | None) -> Path | None:
    """The checkpoint of a name from ``list_bases``; None for none and for the model's own base.

    Raises:
        InputError: no such checkpoint.
    """
    if name is None or name == OWN_BASE:
        return None
    path = folder_paths.get_full_path("checkpoints", name)
    if path is None:
        raise InputError(f"base {name}", "is not in models/checkpoints", "Put it there, or choose another")
    return Path(path)


def resolve(name: str, download: bool = False, on_progress: OnBytes | None = None) -> Path:
    """The model folder of a name; checkpoint files and official weights are converted when first used.

    Args:
        name: from ``list_models``.
        download: fetch missing files of an official family.
        on_progress: told how far a download or conversion is.

    Raises:
        InputError: no such model; or its files are not here and must not, or could not, be fetched.
    """
    if name == DEMO:
        return named_model_folder("demo")
    family = _official_family(name)
    if family is not None:
        return _official(name, family, download, on_progress)
    path = _find(name)
    return path if path.is_dir() else _converted(path, on_progress)


def fetch_detectors(on_progress: OnBytes | None = None) -> None:
    """Fetch the small files that find faces and people; what cannot be fetched is told in the log."""
    from ...megactor_core.weights.download import fetch_file

    for row in (*find_known("face-detector"), *find_known("person-segmenter")):
        if folder_paths.get_full_path(FOLDER, row.file) is None:
            logging.info("MegActor: downloading %s to %s", row.address, _roots()[0] / row.file)
            try:
                fetch_file(row, _roots()[0], on_progress)
            except InputError as error:
                logging.warning("MegActor: %s", error)


def check_name(name: str) -> None:
    """Refuse a name that stands for no model.

    Raises:
        InputError: no such model; lists those there are.
    """
    if name != DEMO and _official_family(name) is None:
        _find(name)


def config_of(name: str) -> ModelConfig | None:
    """Configuration of a model, read without loading it; None where only a conversion would tell."""
    from ...megactor_core.weights.loading import read_config

    family = _official_family(name)
    if family is not None:
        return family.config
    path = named_model_folder("demo") if name == DEMO else _find_models().get(name)
    return read_config(path) if path is not None and path.is_dir() else None


def fingerprint(name: str) -> str:
    """Changes with the files that a name stands for."""
    if name == DEMO:
        return name
    family = _official_family(name)
    if family is not None:
        path = _converted_official(family)
        if path is None:
            return f"{name} is not here"
    else:
        path = _find(name)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files]
    return "\n".join(f"{file} {state.st_size} {state.st_mtime_ns}" for file, state in states)


def _roots() -> list[Path]:
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def _find(name: str) -> Path:
    # Only what is listed can be named: no name leads out of the models folders.
    path = _find_models().get(name)
    if path is None:
        raise InputError(
            f"model {name}",
            f"is not in {' or '.join(map(str, _roots()))}",
            f"Put it there, or choose one of: {', '.join(list_models())}",
        )
    return path


def _find_models() -> dict[str, Path]:
    """Model folders and checkpoint files below the models folders, by their name relative to these.

    What official families consist of is left out, since these have names of their own.
    """
    found: dict[str, Path] = {}
    for root in _roots():
        known = {root / family.folder for family in FAMILIES.values()}
        known |= {named_model_folder(name, root) for name in _published()}
        for parent, folders, files in os.walk(root, followlinks=True):
            folder = Path(parent)
            if all(name in files for name in _MODEL_FILES):
                found.setdefault(
                    folder.relative_to(root.parent if folder == root else root).as_posix(), folder
                )
                folders.clear()
            elif "config.json" in files and folder != root:
                folders.clear()  # one network, a part of some model
            else:
                for file in map(Path, files):
                    if file.suffix.lower() in _CHECKPOINT_SUFFIXES:
                        found.setdefault((folder / file).relative_to(root).as_posix(), folder / file)
                folders[:] = [n for n in folders if not n.startswith(".") and folder / n not in known]
    return found


def _published() -> list[str]:
    """Names of families with official weights."""
    return [name for name, family in FAMILIES.items() if family.is_published]


def _official_family(name: str) -> Family | None:
    """The family whose official weights a name stands for."""
    return FAMILIES.get(name.removesuffix(_OFFICIAL)) if name.endswith(_OFFICIAL) else None


def _official(name: str, family: Family, download: bool, on_progress: OnBytes | None) -> Path:
    converted = _converted_official(family)
    if converted is not None:
        return converted
    from ...megactor_core.weights.convert import convert_official
    from ...megactor_core.weights.download import fetch_file, is_present

    rows = find_known(family.name)
    roots = _roots()
    root = next((root for root in roots if all(is_present(row, root) for row in rows)), roots[0])
    missing = [row for row in rows if not is_present(row, root)]
    if missing and not download:
        raise _not_here(name, missing, root)
    for row in missing:
        logging.info("MegActor: downloading %s to %s", row.address, root / row.file)
        fetch_file(row, root, on_progress)
    output = named_model_folder(family.name, root)
    logging.info("MegActor: converting %s to %s", root / family.folder, output)
    return convert_official(root / family.folder, output, progress=on_progress).output


def _converted_official(family: Family) -> Path | None:
    folders = (named_model_folder(family.name, root) for root in _roots())
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _not_here(name: str, missing: list[KnownFile], root: Path) -> InputError:
    known_size = sum(row.size for row in missing if row.size is not None) / 1e9
    unknown = sum(row.size is None for row in missing)
    size = f"{known_size:.2f} GB" + (f" and {unknown} of unknown size" if unknown else "")
    files = "; ".join(f"{row.address} to {root / row.file}" for row in missing)
    return InputError(
        f"model {name}",
        f"{len(missing)} files ({size}) are not on this machine",
        f"Switch download on in Load MegActor Model, or fetch them yourself: {files}",
    )


def _converted(checkpoint: Path, on_progress: OnBytes | None) -> Path:
    """The model folder beside a checkpoint, made anew where the checkpoint is newer."""
    from ...megactor_core.weights.convert import convert_official

    output = checkpoint.with_suffix("")
    config = output / "config.json"
    if config.is_file() and config.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns:
        return output
    logging.info("MegActor: converting %s to %s", checkpoint, output)
    report = convert_official(
        checkpoint.parent, output, checkpoint=checkpoint, overwrite=True, progress=on_progress
    )
    return report.output
