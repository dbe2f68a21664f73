"""The core's denoiser with the call signature of the host's diffusion models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import comfy.patcher_extension
import torch
from torch import Tensor, nn

from ....megactor_core.models.denoiser import Control, Denoiser, KeyValues


class NativeDenoiser(nn.Module):
    """A core denoiser under its own key names, callable as the host's ``diffusion_model``.

    It is mixed into the denoiser's own class, whatever that is: a module around it would prefix all its keys,
    by which LoRAs and the host's patches find weights.
    """

    denoise: Callable[..., Tensor]

    manual_cast_dtype: torch.dtype | None = None
    """Type that the device computes in where it is not that of the weights."""

    @classmethod
    def of(cls, denoiser: Denoiser, manual_cast_dtype: torch.dtype | None) -> NativeDenoiser:
        """A core denoiser turned into this class; its layers and weights stay the same objects."""
        denoiser.__class__ = _native(type(denoiser))
        native = cast(NativeDenoiser, denoiser)
        native.manual_cast_dtype = manual_cast_dtype
        return native

    @property
    def compute_dtype(self) -> torch.dtype:
        return self.manual_cast_dtype or self.dtype

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, as the host asks for it."""
        return super().compute_dtype  # type: ignore[misc]

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        control: Control | None = None,
        transformer_options: Mapping[str, Any] = {},
        **conditions: Any,
    ) -> Tensor:
        """Predict noise (or velocity) of rows of frames; see ``_forward``. Runs the host's wrappers."""
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, _without_easy_cache(transformer_options)
        )
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._forward, self, wrappers)
        return executor.execute(x, timesteps, context, control, transformer_options, **conditions)

    def _forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        control: Control | None,
        transformer_options: Mapping[str, Any],
        *,
        order: tuple[int, ...],
        conditional_rows: int,
        shared: bool,
        context_keys_values: Mapping[str, KeyValues],
        reference_keys_values: Mapping[str, KeyValues] | None,
        audio: Mapping[str, KeyValues] | None = None,
        audio_weight: float | Tensor = 1.0,
        reference_weight: float = 1.0,
    ) -> Tensor:
        """One call of the host.

        Args:
            x: ``(rows * frames, in_channels, h, w)``, rows in the host's order.
            timesteps: ``(rows * frames,)``, all the same.
            context: not used, the tokens come projected.
            control: what the model's own ControlNets add; the host's are refused.
            order: host's row numbers, those that read the reference last.
            conditional_rows: how many of the last rows of ``order`` read the reference.
            shared: all rows have the same input, so that they are one until the first block that only some
                of them are told something in.
            context_keys_values, reference_keys_values: of the core, one row for all.
            audio, audio_weight, reference_weight: of the core, of these frames.

        Returns:
            ``(rows * frames, out_channels, h, w)``.
        """
        rows = len(order)
        sample = x.unflatten(0, (rows, -1)).transpose(1, 2)
        prediction = self.denoise(
            sample[:1] if shared else sample[list(order)],
            timesteps[:1],
            context_keys_values,
            reference_keys_values,
            rows=rows,
            conditional_rows=conditional_rows,
            audio=audio,
            audio_weight=audio_weight,
            control=control,
            reference_weight=reference_weight,
        )
        places = [order.index(row) for row in range(rows)]
        return prediction[places].transpose(1, 2).flatten(0, 1)


@cache
def _native(kind: type[Denoiser]) -> type[Denoiser]:
    return type(f"Native{kind.__name__}", (NativeDenoiser, kind), {})


def _without_easy_cache(transformer_options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options without EasyCache where context windows run: its cache does not know one from another."""
    if transformer_options.get("context_window") is None:
        return transformer_options
    wrappers = {
        kind: {key: value for key, value in by_key.items() if key != "easycache"}
        for kind, by_key in transformer_options.get("wrappers", {}).items()
    }
    return {**transformer_options, "wrappers": wrappers}
