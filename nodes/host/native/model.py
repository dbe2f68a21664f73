"""The portrait model as the host's native MODEL: stock samplers, LoRA, windows and caches work on it."""

from __future__ import annotations

from typing import Any, cast

import comfy.conds
import comfy.context_windows
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.supported_models_base
import torch
from torch import Tensor

from ....megactor_core import limits
from ....megactor_core.errors import InputError
from ....megactor_core.models.conditions import Conditions
from ....megactor_core.models.config import ModelConfig, SchedulerConfig
from ....megactor_core.models.denoiser import Denoiser
from ....megactor_core.models.networks import CONTROLS as CONTROL_NAMES
from ....megactor_core.precision import all_finite, not_finite
from ....megactor_core.sampling.clip_reader import ClipReader
from ....megactor_core.sampling.sampler import CHECK_RESULT
from .conditions import KEY, CONDRows, Row
from .denoiser import NativeDenoiser
from .layers import inference_dtypes
from .start_noise import RUN, Run, model_sampling

REFERENCE_NETWORK = "megactor_reference_network"
"""Key of the reference network among the patcher's additional models."""

CONTROLS = "megactor_controls"
"""Key of the ControlNets among the patcher's additional models, in the order of ``Networks.controls``."""

# The host's names of diffusers' noise schedules.
_BETA_SCHEDULES = {"scaled_linear": "linear", "linear": "sqrt_linear"}


class NativeConfig(comfy.supported_models_base.BASE):
    """The host's description of a portrait model."""

    # The host builds no network of its own.
    unet_config = {"disable_unet_model_creation": True}  # noqa: RUF012 - the host's way
    memory_usage_factor = 1.0

    def __init__(self, config: ModelConfig, latent_format: comfy.latent_formats.LatentFormat) -> None:
        super().__init__(self.unet_config)
        self.latent_format = latent_format
        self.sampling_settings = _sampling_settings(config.inference_scheduler)


def _sampling_settings(scheduler: SchedulerConfig) -> dict[str, Any]:
    return {
        "beta_schedule": _BETA_SCHEDULES[scheduler.beta_schedule],
        "linear_start": scheduler.beta_start,
        "linear_end": scheduler.beta_end,
        "timesteps": limits.STEPS,
        "zsnr": scheduler.rescale_betas_zero_snr,
    }


class NativeModel(comfy.model_base.BaseModel):
    """The host's model around the denoiser.

    Reference network and ControlNets are additional models of the patcher. The former runs once per timestep,
    for all context windows and both rows of guidance; the latter for the row that reads, in every window.

    Args:
        config: of the portrait model.
        denoiser: with the host's layers.
        latent_format: of its VAE.
    """

    def __init__(
        self, config: ModelConfig, denoiser: NativeDenoiser, latent_format: comfy.latent_formats.LatentFormat
    ) -> None:
        types = comfy.model_base.ModelType
        velocity = config.inference_scheduler.prediction_type == "v_prediction"
        description = NativeConfig(config, latent_format)
        dtype, manual_cast = inference_dtypes(denoiser)
        description.set_inference_dtype(dtype, manual_cast)
        super().__init__(description, types.V_PREDICTION if velocity else types.EPS)
        self.model_sampling = model_sampling(description, velocity)
        self.diffusion_model = denoiser
        self.portrait = config

    def extra_conds(self, **kwargs: Any) -> dict[str, comfy.conds.CONDRegular]:
        """The host's conditions of one CONDITIONING entry, for the whole clip.

        Raises:
            InputError: the entry is not from Apply MegActor, was changed since, or does not fit the latent.
        """
        row: Row | None = kwargs.get(KEY)
        if row is None:
            raise InputError(
                "conditioning",
                "does not come from Apply MegActor, so the model has no portrait and no driving frames",
                "Link positive and negative of Apply MegActor to the sampler",
            )
        if row.is_changed(kwargs.get("cross_attn")):
            raise InputError(
                "conditioning",
                "was changed by a node for texts (Zero Out, Average, Concat ...), which has no effect here",
                "Link positive and negative of Apply MegActor to the sampler as they are",
            )
        if kwargs.get("control") is not None:
            raise InputError(
                "ControlNet",
                "has nothing to hold on to in this model, whose motion comes from the driving frames",
                "Remove Apply ControlNet between Apply MegActor and the sampler",
            )
        if kwargs.get("area") is not None and row.conditions.controls:
            raise InputError(
                "area of the conditioning",
                "does not go with this model's ControlNets, which are shown the whole driving frame",
                "Use a mask without bounds (Conditioning Set Mask), or the whole picture",
            )
        row.check(kwargs["noise"])
        return {
            "c_concat": comfy.conds.CONDNoiseShape(row.frame_channels().to(kwargs["device"])),
            "frames": comfy.conds.CONDRegular(torch.arange(row.conditions.num_frames)),
            "rows": CONDRows((row,)),
        }

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """Unscaled latents of the host's samplers' result.

        Raises:
            InputError: the result is not finite; the host itself would show black frames.
        """
        if not all_finite(latent):
            raise not_finite("the model's result", self.get_dtype_inference(), CHECK_RESULT)
        return super().process_latent_out(latent)

    def resize_cond_for_context_window(
        self,
        cond_key: str,
        cond_value: Any,
        window: Any,
        x_in: Tensor,
        device: Any,
        retain_index_list: list[int] = [],  # noqa: B006 - the host's signature
    ) -> Any:
        if cond_key in ("c_concat", "frames"):
            return comfy.context_windows.slice_cond(
                cond_value, window, x_in, device, temporal_dim=0, retain_index_list=retain_index_list
            )
        return cond_value if cond_key == "rows" else None

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] = {},  # noqa: B006 - the host's signature
        *,
        rows: tuple[Row, ...],
        frames: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        order = tuple(sorted(range(len(rows)), key=lambda row: rows[row].reads_reference))
        conditional_rows = sum(row.reads_reference for row in rows)
        indices = frames.chunk(len(rows))[0].tolist()
        parts = x.chunk(len(rows))
        shared = all(row.sees_driver == rows[0].sees_driver for row in rows) and all(
            torch.equal(part, parts[0]) for part in parts[1:]
        )
        timestep = self.model_sampling.timestep(t[:1]).float()
        run: Run = transformer_options[RUN]
        reader = self._reader(run, rows[0].conditions, float(timestep), x.device)
        reference = control_of_clip = None
        if conditional_rows:
            reference = run.once_per_step(
                float(timestep), (REFERENCE_NETWORK, id(reader)), lambda: reader.reference(timestep)
            )
            noisy = self.model_sampling.calculate_input(t[: len(indices)], parts[order[-1]])
            control_of_clip = reader.control(noisy.to(self.get_dtype_inference()), timestep, indices)
        return super()._apply_model(
            x,
            t,
            c_concat,
            None,
            control_of_clip,
            transformer_options,
            order=order,
            conditional_rows=conditional_rows,
            shared=shared,
            context_keys_values=reader.context,
            reference_keys_values=reference,
            reference_weight=reader.conditions.reference_strength,
            **reader.sound(indices),
            **kwargs,
        )

    def _reader(self, run: Run, conditions: Conditions, timestep: float, device: torch.device) -> ClipReader:
        """Reads a clip's conditions once per run; once per step where hooks change the weights."""

        def additional(key: str) -> list[Any]:
            return [patcher.model for patcher in self.current_patcher.get_additional_models_with_key(key)]

        def read() -> ClipReader:
            return ClipReader(
                cast(Denoiser, self.diffusion_model),
                additional(REFERENCE_NETWORK)[0],
                conditions.to(device, self.get_dtype_inference()),
                dict(zip(CONTROL_NAMES, additional(CONTROLS), strict=False)),
            )

        hooks = self.current_patcher.current_hooks
        if hooks is None:
            return run.once(id(conditions), read)
        return run.once_per_step(timestep, (id(conditions), id(hooks)), read)
