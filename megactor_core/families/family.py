"""The values that describe a model family: its configuration, its published files, and how to tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..models.config import ModelConfig

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class KnownFile:
    """One file that can be fetched, or all weight files of one published folder.

    Attributes:
        name: what ``weights download`` calls it.
        family: the model family it belongs to, or ``vision`` for detectors.
        file: where it is kept, relative to the models folder; a folder ends in ``/``.
        path: its path inside ``repository``, or a whole https address if there is no repository.
        repository: Hugging Face repository, ``owner/name``; None for other servers.
        revision: commit of the repository the row was checked against, or a branch.
        size: bytes; None if not known before the download.
        sha256: hexadecimal digest; None if not known. The hub announces the digest of its large files, and a
            download is checked against that instead.
        licence: licence as published.
        purpose: what the file is for.
        required: whether downloading the family includes it.
    """

    name: str
    family: str
    file: str
    path: str
    licence: str
    purpose: str
    repository: str | None = None
    revision: str = "main"
    size: int | None = None
    sha256: str | None = None
    required: bool = True

    @property
    def address(self) -> str:
        """Address a browser can open."""
        if self.repository is None:
            return self.path
        view = "tree" if self.is_folder else "resolve"
        return f"{HUB}/{self.repository}/{view}/{self.revision}/{self.path}".rstrip("/")

    @property
    def is_folder(self) -> bool:
        """Whether the row stands for a published folder whose file names the hub tells."""
        return self.file.endswith("/")


@dataclass(frozen=True)
class Kind:
    """A kind of weight file and the key names by which it is recognised.

    Key names are compared with a leading dot, so that ``.unet.`` fits keys that start with ``unet.`` or nest
    it.

    Attributes:
        name: short name.
        description: what a user calls it.
        present: parts of key names; each occurs in at least one key.
        absent: parts of key names that occur in no key.
    """

    name: str
    description: str
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def fits(self, keys: Iterable[str]) -> bool:
        """Whether a file with these keys has the signature."""
        joined = "\n".join("." + key for key in keys)
        return all(part in joined for part in self.present) and not any(
            part in joined for part in self.absent
        )


@dataclass(frozen=True)
class CheckpointLayout:
    """The key names of a family's published checkpoint.

    Attributes:
        parts: network by the prefix of its keys. A ``text_encoder`` is read for the embedding of the empty
            text, which becomes the constant context.
        naming: the key map of the networks, see ``weights.layout``.
        wrapper: prefix that all keys may have, as of a model wrapped for distributed training.
        ignored: patterns (``*`` stands for anything) of keys that no network uses.
        cut_reference: whether the reference network holds parameters behind the last norm that is read,
            which are then ignored.
        whole: whether the checkpoint is a whole model: all networks, and its configuration in the header.
    """

    parts: Mapping[str, str]
    naming: Literal["diffusers", "compvis"] = "diffusers"
    wrapper: str = ""
    ignored: tuple[str, ...] = ()
    cut_reference: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Family:
    """One model family: data alone, which loading, conversion, menus and messages read.

    Attributes:
        label: its name for people.
        phrase: the label after its article, as before the words "model" or "checkpoint".
        config: of the published model; what shapes do not tell is taken from it.
        checkpoints: signatures of its whole checkpoint, any of which is enough; named as the family.
        parts: signatures of files that hold one of its networks alone and tell it from other families.
        layout: key names of its checkpoint.
        places: per network, files and folders beside the checkpoint that may hold it, in order of preference.
            For networks of the checkpoint these are the weights that training started from.
        own_files: networks of which a file of their own goes before the checkpoint's copy.
        files: what ``weights download`` fetches.
        exported: whether ``weights export`` writes this family's layout.
        public_flops: operations that the public implementation executes for one window of one guided step,
            reference network included, at 512x512 pixels and 16 frames; None where nobody counted.
    """

    label: str
    phrase: str
    config: ModelConfig
    checkpoints: tuple[Kind, ...]
    layout: CheckpointLayout
    places: Mapping[str, tuple[str, ...]]
    parts: tuple[Kind, ...] = ()
    own_files: frozenset[str] = frozenset()
    files: tuple[KnownFile, ...] = ()
    exported: bool = False
    public_flops: float | None = None

    @property
    def name(self) -> str:
        """Its name in commands, configurations, menus and the models folder."""
        return self.config.family

    @property
    def is_published(self) -> bool:
        """Whether there is a checkpoint to download; others are trained first."""
        return any(row.name == f"{self.name}-checkpoint" for row in self.files)

    @property
    def folder(self) -> str:
        """Folder below the models folder that holds its files as published, ready for conversion."""
        return f"official/{self.name}"
