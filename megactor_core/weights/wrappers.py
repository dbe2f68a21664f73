"""Names of weights without what training loops, compilers and EMA put around a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Names = dict[str, str]

_PLAIN = (
    "state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights", "generator",
    "online_model", "_orig_mod", "_forward_module", "_fsdp_wrapped_module",
)  # fmt: skip
_AVERAGED = (
    "ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "params_ema", "ema_params",
    "averaged_model", "shadow",
)  # fmt: skip
# Of torch.compile, DDP, FSDP and activation checkpointing, wherever in a name the wrapped layer is.
_SEGMENTS = frozenset(
    {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
)
_TRAINING = (
    "optim", "opt_", "opt.", "lr_", "sched", "scaler", "grad_scaler", "callbacks", "loops", "rng_state",
    "random_state", "hyper_parameters", "args.", "config.",
)  # fmt: skip
# CompVis' name of the denoiser inside a whole model: no wrapper.
_COMPVIS = "model.diffusion_model."


class Unwrapped(NamedTuple):
    """Names of a network's own.

    Attributes:
        names: its name of every tensor -> the name in the file.
        choice: which of several copies of the weights was taken; empty where there is one.
    """

    names: Names
    choice: str


def unwrap(names: Iterable[str]) -> Unwrapped:
    """Take off wrappers in front of all names (``state_dict.``, ``module.``, ``model.``, ``ema.``, ...) and,
    anywhere, the segments of compilers and data parallelism (``_orig_mod``, ``module``).

    Of several copies the averaged weights (EMA) are taken if they are complete: the ones meant for use.
    """
    current, choice = {name: name for name in names}, ""
    while True:
        current = {key: name for key, name in current.items() if not key.startswith(_TRAINING)} or current
        inside = _groups(current)
        if inside is None:
            break
        plain = next((inside[head] for head in _PLAIN if head in inside), None)
        head = next((head for head in _AVERAGED if head in inside), None)
        averaged = None if head is None else inside[head]
        if averaged is not None and (plain is None or _bare(plain) <= _bare(averaged)):
            current = averaged
            if plain is not None:
                choice = f"the averaged weights ({head}) were taken"
        else:
            assert plain is not None
            current = plain
            if averaged is not None:
                choice = f"the averaged weights ({head}) lack some and were left out"
    result: Names = {}
    for key, name in current.items():
        result.setdefault(_without_segments(key), name)
    return Unwrapped(result, choice)


def inside_part(names: Mapping[str, str], parts: Iterable[str]) -> Names:
    """Names inside the first part that there is (``unet.``), or all if there is none."""
    for part in parts:
        if found := {k.removeprefix(part): name for k, name in names.items() if k.startswith(part)}:
            return found
    return dict(names)


def _groups(names: Names) -> dict[str, Names] | None:
    """Names by the wrapper in front of them; None if something stands beside the wrappers."""
    groups: dict[str, Names] = {}
    for key, name in names.items():
        head, _, rest = key.partition(".")
        if rest and head in (*_PLAIN, *_AVERAGED) and not key.startswith(_COMPVIS):
            groups.setdefault(head, {})[rest] = name
        elif rest:  # a name without a dot is a counter of the training loop
            return None
    return groups or None


def _bare(names: Names) -> set[str]:
    return {_without_segments(key) for key in unwrap(names).names}


def _without_segments(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _SEGMENTS)
