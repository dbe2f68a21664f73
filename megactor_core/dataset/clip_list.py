"""Split of the clips in a set of shards into training and held-out ones."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import InputError
from ..seeds import Split
from .shards import CLIP, METADATA, BrokenSample, Entry, find_shards, name_bytes, open_shard


def identity_of(entry: Entry) -> str:
    """Identity of a clip's person, from its metadata; a clip without any counts as a person of its own."""
    try:
        return str(entry.read_json(METADATA)["identity"])
    except (BrokenSample, KeyError, TypeError):
        return entry.key


def held_out_identities(identities: Iterable[str], share: float) -> set[str]:
    """Identities that a training keeps for validation.

    Args:
        identities: of all clips; more than once counts once.
        share: of them, 0 to 1; at least one identity where it is above 0. A single identity cannot be parted:
            none is held out.
    """
    ranked = sorted(set(identities), key=lambda name: hashlib.sha256(name_bytes(name)).digest())
    return set(ranked[: math.ceil(share * len(ranked))]) if len(ranked) > 1 else set()


def list_clips(paths: Sequence[Path], held_out: float, split: Split) -> list[Entry]:
    """Clips of one split, in the order of the shards.

    No identity is in both splits, and which split it is in hangs on its name and on the number of identities
    alone. A single identity cannot be parted: it is in both. Damaged shards are warned of and read as far as
    they go.

    Args:
        paths: folders of shards, or shards.
        held_out: share of the identities that are held out, at least one where it is above 0.
        split: which part.

    Raises:
        InputError: no shards; no clips in them; nothing held out where it is asked for, or everything.
    """
    shards = [open_shard(path) for path in find_shards(paths)]
    for shard in shards:
        if shard.damage:
            warnings.warn(f"{shard.path} {shard.damage}; the others are used", stacklevel=2)
    entries = (entry for shard in shards for entry in shard.entries)
    clips = {entry: identity_of(entry) for entry in entries if CLIP in entry.members}
    names = ", ".join(map(str, paths))
    if not clips:
        raise InputError(names, "no shard holds a clip (.mp4)", "Make shards with: dataset pack")
    if len(set(clips.values())) == 1:
        return list(clips)
    kept = held_out_identities(clips.values(), held_out)
    if split == "held-out" and not kept:
        raise InputError(names, "no identity is held out", "Set held_out above 0")
    if split == "train" and kept == set(clips.values()):
        raise InputError(
            f"held_out: {held_out}", f"leaves none of the {len(kept)} identities in {names}", "Lower it"
        )
    return [entry for entry, identity in clips.items() if (identity in kept) == (split == "held-out")]
