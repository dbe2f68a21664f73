"""The portrait model as the host's native MODEL: stock samplers, LoRA, windows and caches work on it."""

from __future__ import annotations

from typing import Any

import comfy.conds
import comfy.context_windows
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.supported_models_base
import torch
from torch import Tensor

from ...megactor_core.errors import InputError
from ...megactor_core.models.attention import KeyValues
from ...megactor_core.models.config import ModelConfig, SchedulerConfig
from .layers import inference_dtypes
from .native_conditions import KEY, CONDRows, Row
from .native_denoiser import NativeDenoiser
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
        "timesteps": 1000,
        "zsnr": scheduler.rescale_betas_zero_snr,
    }


class NativeModel(comfy.model_base.BaseModel):
    """The host's model around the denoiser.

    The reference network is an additional model of the patcher: it runs once per timestep, for all context
    windows and both rows of guidance.

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
        self.model_sampling = model_sampling(description, velocity, config.defaults.noise_scale)
        self.diffusion_model = denoiser
        self.shared_noise = config.defaults.shared_noise

    def extra_conds(self, **kwargs: Any) -> dict[str, comfy.conds.CONDRegular]:
        """The host's conditions of one CONDITIONING entry, for the whole clip.

        Raises:
            InputError: the entry is not from Apply MegActor, or does not fit the latent.
        """
        row: Row | None = kwargs.get(KEY)
        if row is None:
            raise InputError(
                "conditioning",
                "does not come from Apply MegActor, so the model has no portrait and no driving frames",
                "Link positive and negative of Apply MegActor to the sampler",
            )
        if kwargs.get("control") is not None:
            raise InputError(
                "ControlNet",
                "has nothing to hold on to in this model, whose motion comes from the driving frames",
                "Remove Apply ControlNet between Apply MegActor and the sampler",
            )
        channels = row.frame_channels(kwargs["noise"])
        return {
            "c_concat": comfy.conds.CONDNoiseShape(channels.to(kwargs["device"])),
            "rows": CONDRows((row,)),
        }

    def resize_cond_for_context_window(
        self,
        cond_key: str,
        cond_value: Any,
        window: Any,
        x_in: Tensor,
        device: Any,
        retain_index_list: list[int] = [],  # noqa: B006 - the host's signature
    ) -> Any:
        if cond_key == "c_concat":
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
        **kwargs: Any,
    ) -> Tensor:
        order = tuple(sorted(range(len(rows)), key=lambda row: rows[row].reads_reference))
        ordered = tuple(rows[row] for row in order)
        same_clip = all(row.conditions is rows[0].conditions for row in rows)
        parts = x.chunk(len(rows))
        shared = same_clip and all(torch.equal(part, parts[0]) for part in parts[1:])
        context, reference = self._keys_values(ordered, shared, t, x.device, transformer_options)
        return super()._apply_model(
            x,
            t,
            c_concat,
            None,
            control,
            transformer_options,
            order=order,
            reading_rows=sum(row.reads_reference for row in rows),
            shared=shared,
            context_keys_values=context,
            reference_keys_values=reference,
            **kwargs,
        )

    def _keys_values(
        self,
        rows: tuple[Row, ...],
        shared: bool,
        sigma: Tensor,
        device: torch.device,
        transformer_options: dict[str, Any],
    ) -> tuple[dict[str, KeyValues], dict[str, KeyValues] | None]:
        """Projected background and reference tokens; computed once for all windows of a step."""
        timestep = self.model_sampling.timestep(sigma[:1]).float()
        run: Run = transformer_options[RUN]
        key = (float(timestep), shared, tuple(transformer_options["uuids"]))
        return run.once(key, lambda: self._project(rows, shared, timestep, device))

    def _project(
        self, rows: tuple[Row, ...], shared: bool, timestep: Tensor, device: torch.device
    ) -> tuple[dict[str, KeyValues], dict[str, KeyValues] | None]:
        dtype = self.get_dtype_inference()

        def stack(tensors: list[Tensor]) -> Tensor:
            return torch.cat(tensors).to(device, dtype)

        tokens = [row.conditions.background.tokens for row in rows]
        context = self.diffusion_model.context_keys_values(stack(tokens[:1] if shared else tokens))
        reading = [row.conditions for row in rows if row.reads_reference]
        if not reading:
            return context, None
        if shared:
            reading = reading[:1]
        network = self.current_patcher.get_additional_models_with_key(REFERENCE_NETWORK)[0].model
        reference_context = network.context_keys_values(stack([c.background.tokens for c in reading]))
        bank = network(stack([c.reference.latents for c in reading]), timestep, reference_context)
        return context, self.diffusion_model.reference_keys_values(bank)
