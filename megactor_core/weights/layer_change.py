"""Change of one parameter by an adapter: a product of factors (LoRA, LoHa, LoKr), or a full difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

Factors = Mapping[str, Tensor]

_BESIDE = frozenset({"alpha", "magnitude"})
_NEEDED = {
    "LoRA": (frozenset({"down", "up"}), frozenset({"mid"})),
    "LoHa": (
        frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        frozenset({"hada_t1", "hada_t2"}),
    ),
    "full difference": (frozenset({"diff"}), frozenset()),
    "replaced weight": (frozenset({"set_weight"}), frozenset()),
}
"""Parts that a layer must and may have, by the method's name."""
_KRONECKER = (
    {"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"},
    {"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}, {"lokr_w2_a", "lokr_w2_b", "lokr_t2"},
)  # fmt: skip
BIAS_PARTS = frozenset({"bias_diff", "up_bias"})
"""Parts that are for a layer's bias."""


class LayerChange(NamedTuple):
    """Addition to one parameter at strength 1.

    Attributes:
        method: its name among those of ``method_of``, or ``"bias"``.
        scale: of the product of the factors: alpha / rank, or what the trainer used for it.
        factors: by their part, on the CPU in the file's type. A ``magnitude`` makes it a DoRA
            (arXiv 2402.09353): the changed weight's rows, or columns, then get these lengths.
    """

    method: str
    scale: float
    factors: Factors

    def __call__(self, weight: Tensor) -> Tensor:
        """The addition to ``weight``: float32, of its shape and on its device.

        Raises:
            RuntimeError: the factors do not fit each other or the weight.
        """
        weight = weight.float()
        factors = {part: tensor.to(weight) for part, tensor in self.factors.items()}
        if self.method == "replaced weight":
            return factors["set_weight"].reshape(weight.shape) - weight
        product = _product(self.method, factors)
        if product.shape[0] != weight.shape[0]:
            raise RuntimeError(f"{list(product.shape)} is not of the shape {list(weight.shape)}")
        change = self.scale * product.reshape(weight.shape)
        magnitude = factors.get("magnitude")
        return change if magnitude is None else _with_magnitude(weight + change, magnitude) - weight


def method_of(parts: Iterable[str]) -> str | None:
    """The method that has these parts; None if they are not complete, or of several methods."""
    own = frozenset(parts) - _BESIDE - BIAS_PARTS
    for method, (needed, optional) in _NEEDED.items():
        if needed <= own <= needed | optional:
            return method
    first, second = ({part for part in own if part.startswith(f"lokr_{side}")} for side in ("w1", "w2"))
    if (
        first | second | {"lokr_t2"} >= own
        and first in _KRONECKER
        and second | own & {"lokr_t2"} in _KRONECKER
    ):
        return "LoKr"
    return None


def rank_of(method: str, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """The rank that alpha is divided by; None for a method without one, as a LoKr of two whole factors."""
    part = {"LoRA": "down", "LoHa": "hada_w1_b"}.get(method)
    if method == "LoKr":
        part = next((part for part in ("lokr_w2_b", "lokr_w1_b") if part in shapes), None)
    return None if part is None else shapes[part][0]


def _product(method: str, factors: Factors) -> Tensor:
    if method == "LoRA":
        up, down = factors["up"].flatten(1), factors["down"].flatten(1)
        if "mid" not in factors:
            return up @ down
        return torch.einsum("mn...,im,nj->ij...", factors["mid"], up, down)
    if method == "LoHa":
        return _hadamard_factor(factors, 1) * _hadamard_factor(factors, 2)
    if method == "LoKr":
        first, second = _kronecker_factor(factors, 1), _kronecker_factor(factors, 2)
        return torch.kron(first.reshape(*first.shape, *[1] * (second.ndim - first.ndim)), second.contiguous())
    return factors["bias_diff" if method == "bias" else "diff"]


def _hadamard_factor(factors: Factors, side: int) -> Tensor:
    outer, inner = factors[f"hada_w{side}_a"], factors[f"hada_w{side}_b"]
    if f"hada_t{side}" not in factors:
        return outer @ inner
    return torch.einsum("ij...,jr,ip->pr...", factors[f"hada_t{side}"], inner, outer)


def _kronecker_factor(factors: Factors, side: int) -> Tensor:
    name = f"lokr_w{side}"
    if name in factors:
        return factors[name]
    outer, inner = factors[f"{name}_a"], factors[f"{name}_b"]
    if side == 1 or "lokr_t2" not in factors:
        return outer @ inner
    return torch.einsum("ij...,jr,ip->pr...", factors["lokr_t2"], inner, outer)


def _with_magnitude(weight: Tensor, magnitude: Tensor) -> Tensor:
    """The weight with the lengths of its rows, or of its columns, replaced.

    A vector, as PEFT's, is of the rows; of LyCORIS' ``(out, 1, ...)`` is of the rows, ``(1, in, ...)`` of the
    columns.
    """
    columns = magnitude.ndim > 1 and magnitude.shape[0] == 1 and weight.shape[0] != 1
    axis = 1 if columns else 0
    length = torch.linalg.vector_norm(weight, dim=[i for i in range(weight.ndim) if i != axis], keepdim=True)
    factor = magnitude.reshape(length.shape) / length.clamp(min=torch.finfo(torch.float32).tiny)
    return factor * weight
