"""Golden data: weights and inputs by formula, stored tensors from the case files."""

from __future__ import annotations

import fnmatch
import json
import math
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parts import selections, stored_part
from safetensors.numpy import load_file
from torch import nn

HIGH_GAIN = (".to_q.", ".to_k.", ".q_proj.", ".k_proj.", ".query.", ".key.")
CONV_STACKS = ("condition_input_layer.", "input_hint_block.")


def generator(salted: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(zlib.crc32(salted.encode("utf-8"))))


def weight(salt: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = generator(salt + key).standard_normal(shape, dtype=np.float32)
    if len(shape) >= 2:
        gain = 0.6
        if any(part in key for part in HIGH_GAIN):
            gain = 1.5
        elif any(part in key for part in CONV_STACKS):
            gain = 1.7
        return noise * np.float32(gain / math.sqrt(math.prod(shape[1:])))
    if key.endswith(".weight"):
        return np.float32(1) + np.float32(0.1) * noise
    return np.float32(0.05) * noise


def fill(module: nn.Module, salt: str, prefix: str) -> nn.Module:
    """Give every parameter of a module its formula value; buffers keep theirs."""
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(weight(salt, prefix + key, tuple(parameter.shape))))
    return module.eval()


def layout_crc32(module: nn.Module, prefix: str) -> int:
    lines = sorted(f"{prefix}{key}:{','.join(map(str, p.shape))}" for key, p in module.named_parameters())
    return zlib.crc32("\n".join(lines).encode())


def _whole_name(name: str, outputs: Iterable[str]) -> str | None:
    """Name of the output of which one of this name is stored; None if there is none."""
    if name in outputs:
        return name
    starts = [whole for whole in outputs if name.startswith(f"{whole}_")]
    parts = [whole for whole in starts if selections(name.removeprefix(whole).replace("_", " "))]
    return max(parts, key=len, default=None)


@dataclass
class Case:
    name: str
    folder: Path
    salt: str
    spec: dict[str, Any]
    stored: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        return self.spec["config"]

    def input(self, name: str) -> Any:
        """Input as a tensor (drawn, stored) or a literal."""
        spec = self.spec["inputs"][name]
        if "value" in spec:
            return spec["value"]
        if "stored" in spec:
            return torch.from_numpy(self.stored[spec["stored"]])
        draw = generator(self.salt + spec["seed_name"])
        shape = tuple(spec["shape"])
        if spec["kind"] == "normal":
            values = draw.standard_normal(shape, dtype=np.float32)
        else:
            uniform = draw.random(shape, dtype=np.float32)
            values = {
                "uniform": lambda: uniform,
                "uniform_pm1": lambda: 2 * uniform - 1,
                "u8": lambda: np.floor(256 * uniform).astype(np.uint8),
                "binary": lambda: (uniform > 0.5).astype(np.float32),
            }[spec["kind"]]()
        tensor = torch.from_numpy(values)
        return tensor.expand(*spec["expand_to"]) if "expand_to" in spec else tensor

    def fill(self, module: nn.Module, prefix: str) -> nn.Module:
        return fill(module, self.salt, prefix)

    def stores(self, name: str) -> bool:
        return name in self.spec["outputs"]

    def part(self, name: str, actual: torch.Tensor | np.ndarray, note: str = "") -> np.ndarray:
        """The part of a whole output that is stored; ``note`` joins the golden note."""
        spec = self.spec["outputs"][name]
        whole = np.asarray(actual.detach().cpu() if isinstance(actual, torch.Tensor) else actual)
        note = f"{note} {spec.get('note', '')}".strip()
        shape = self.stored[spec["tensor"]].shape
        try:
            return stored_part(whole, shape, note, self.config.get("store_frames"))
        except AssertionError as error:
            raise AssertionError(f"{self.name}, {name}: {error}") from None

    def check(self, name: str, actual: torch.Tensor | np.ndarray, note: str = "") -> None:
        """Compare what is stored of a whole output inside its absolute tolerance."""
        spec = self.spec["outputs"][name]
        expected = self.stored[spec["tensor"]].astype(np.float64)
        difference = np.abs(self.part(name, actual, note).astype(np.float64) - expected).max(initial=0)
        assert difference <= spec["atol"], f"{name}: off by {difference:.3g}, allowed {spec['atol']:.3g}"

    def check_all(
        self,
        outputs: Mapping[str, torch.Tensor | np.ndarray],
        *kinds: str,
        elsewhere: Collection[str] = (),
    ) -> None:
        """Compare every stored output, whole outputs given.

        Args:
            outputs: at least those that are stored. The name of a stored part may go on after the output's
                own (``tokens_every_4th_channel``).
            kinds: patterns of names; of each at least one has to be stored. All outputs if not given.
            elsewhere: stored names that this test has nothing to do with.
        """
        for kind in kinds or outputs:
            stored = fnmatch.filter(self.spec["outputs"], kind) or [
                name for name in self.spec["outputs"] if _whole_name(name, [kind])
            ]
            assert stored, f"{self.name} stores no {kind}, so there is nothing to compare"
        for name in self.spec["outputs"]:
            if name not in elsewhere:
                whole = _whole_name(name, outputs)
                assert whole is not None, f"{self.name} stores {name}, which no test computes"
                self.check(name, outputs[whole], name.removeprefix(whole).replace("_", " "))

    def table(self, index: int = 0) -> Any:
        return json.loads((self.folder / self.spec["json_files"][index]).read_text())


@dataclass
class Golden:
    folder: Path

    def __post_init__(self) -> None:
        self.data = json.loads((self.folder / "golden.json").read_text())

    @property
    def family(self) -> str:
        return self.data["family"]

    def case(self, name: str) -> Case:
        spec = self.data["cases"][name]
        stored = load_file(self.folder / spec["file"]) if "file" in spec else {}
        return Case(name, self.folder, self.data["salt"], spec, stored)

    def cases(self, function: str) -> list[Case]:
        """All cases of a kind; a folder may hold several with other sizes."""
        return [self.case(name) for name, spec in self.data["cases"].items() if spec["function"] == function]
