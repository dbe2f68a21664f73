"""Records of finished work: one beside each shard, one manifest for the folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import is_leftover, new_file

MANIFEST = "manifest.json"

Remark = tuple[str, str, str]
"""A sample's key, the reason, and more about it."""


@dataclass(frozen=True)
class Record:
    """Record of one finished shard.

    Attributes:
        digest: of the settings and of what was read; equal ones need not be done again.
        bytes: length of the written shard.
        samples_in, samples_out: numbers of samples.
        rejected: samples that were left out.
        noted: samples that were kept although something could not be done for them.
        done_before: whether the work had been done by an earlier run.
    """

    digest: str
    bytes: int
    samples_in: int
    samples_out: int
    rejected: Sequence[Remark]
    noted: Sequence[Remark]
    done_before: bool = field(default=False, compare=False)

    def write(self, shard: Path) -> None:
        """Keep the record beside its shard."""
        values = asdict(self)
        del values["done_before"]
        write_json(shard.with_suffix(".json"), values)


def finished(shard: Path, digest: str) -> Record | None:
    """The record of a shard that is there and was made by the same settings from the same input."""
    values = _read_json(shard.with_suffix(".json"))
    if values is None or values.get("digest") != digest:
        return None
    if not shard.is_file() or shard.stat().st_size != values["bytes"]:
        return None
    return Record(**values, done_before=True)


def begin_folder(folder: Path, step: str, facts: Mapping[str, Any], history: Sequence[Any] = ()) -> None:
    """Make a folder for the results of one step, or go on with one; what a killed run left is removed.

    Raises:
        InputError: the folder holds the results of other settings, or files of the user; it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(folder, f"cannot be made a folder ({reason})", "Choose another --output") from error
    manifest = read_manifest(folder)
    if manifest is None:
        if not all(is_leftover(path) for path in folder.iterdir()):
            raise InputError(
                folder, "holds other files", "Choose an empty folder, or one of an earlier run, as --output"
            )
        write_json(
            folder / MANIFEST,
            {"step": step, "settings": dict(facts), "finished": False, "history": [*history]},
        )
        return
    if (manifest.get("step"), manifest.get("settings")) != (step, dict(facts)):
        raise InputError(
            folder, f"holds what {_difference(manifest, step, facts)}", "Choose another --output"
        )
    for path in folder.iterdir():
        if is_leftover(path):
            path.unlink()


def end_folder(folder: Path, records: Mapping[str, Record], finished: bool) -> dict[str, Any]:
    """Count what became of all samples and write it into the manifest.

    Args:
        folder: of the step.
        records: by the name of the shard.
        finished: whether that is all of them.

    Returns:
        The manifest.
    """
    manifest = read_manifest(folder) or {}
    manifest |= {
        "finished": finished,
        "in": sum(record.samples_in for record in records.values()),
        "out": sum(record.samples_out for record in records.values()),
        "rejected": _count(remark for record in records.values() for remark in record.rejected),
        "noted": _count(remark for record in records.values() for remark in record.noted),
        "shards": {
            name: {"in": record.samples_in, "out": record.samples_out}
            for name, record in sorted(records.items())
        },
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, or None where there is none."""
    return _read_json(folder / MANIFEST)


def folder_history(folder: Path) -> list[Any]:
    """The steps that made a folder, each with its counts; none where it has no manifest."""
    manifest = read_manifest(folder)
    if manifest is None:
        return []
    own = {name: manifest[name] for name in ("step", "settings", "in", "out", "rejected") if name in manifest}
    return [*manifest.get("history", []), own]


def write_json(path: Path, values: Any) -> None:
    """Write JSON under a temporary name first.

    Raises:
        InputError: the file cannot be written.
    """
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(path, "cannot be read as JSON", "Remove it; its shard is made again") from error
    if not isinstance(values, dict):
        raise InputError(path, "is not of the dataset commands", "Choose another folder")
    return values


def _count(remarks: Iterable[Remark]) -> dict[str, int]:
    return dict(Counter(reason for _, reason, _ in remarks).most_common())


def _difference(manifest: Mapping[str, Any], step: str, facts: Mapping[str, Any]) -> str:
    if manifest.get("step") != step:
        return f"the step {manifest.get('step')} made"
    other = manifest.get("settings", {})
    changed = [name for name in facts if facts[name] != other.get(name)]
    name = changed[0] if changed else ""
    if len(changed) != 1 or isinstance(facts[name], dict):
        return f"was made with other {', '.join(changed) or 'settings'}"
    return f"was made with {name} {other.get(name)}, not {facts[name]}"
