"""Task: train the denoiser of a family with the networks that tell it of a clip, in any of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...conditioning.audio import batch_features
from ...conditioning.compose import Clips, Kept, compose, driving_width
from ...errors import InputError
from ...families.features import has_controls, has_plain_base
from ...models.config import ModelConfig
from ...models.denoiser import ONE_PICTURE, Regions
from ...models.networks import Networks
from ...puppets.motion import MOTION_NAMES
from ...sampling.schedule import build_schedule
from ...vision.modes.registry import MODES
from ...weights.frozen_base import record_of, save_without_base
from ...weights.loading import LoadedModel, resolve_model
from ...weights.saving import save_model
from ..config.tasks import DenoiserTaskConfig, PuppetClipsConfig
from ..data.batches import clip_batches
from ..data.latent_cache import LatentCache
from ..data.loader import Batch, BatchPart
from ..data.pictures import to_signed
from ..distributed import ProcessGroup
from .base import StepContext
from .correspondence import Correspondence
from .diffusion import diffusion_error
from .distillation import Distillation, build_distillation, few_step_model
from .draws import draw_clips
from .frozen import hold_in_bf16
from .held_out import held_out_loss, measured_config
from .latents import encode_clips
from .lora import add_lora, save_lora
from .model_checks import check_model
from .prepared import PreparedClips
from .validation import validate_denoiser

_POOLED = 4


class DenoiserTask:
    """Mean squared error of the predicted noise or velocity, or the objective of a distillation.

    Source: MegActor (arXiv 2405.20851), sections 3 and 4; MegActor-Sigma (2408.14975), figure 4; X-Portrait
    (2403.15931), section 3. What a stage trains is a matter of ``trainable``. Reference network,
    background tokens and modulation are computed once per reference and serve all its target frames.
    """

    def __init__(
        self, config: DenoiserTaskConfig, model: ModelConfig, networks: Networks, seed: int, cache: Path
    ) -> None:
        if config.schedule is not None:
            model = replace(model, inference_scheduler=config.schedule, training_scheduler=config.schedule)
        if config.start is not None:
            model = replace(model, start=config.start)
        check_model(config, model, networks.denoiser)
        if config.zero_terminal_snr is not None:
            schedule = replace(model.training_scheduler, rescale_betas_zero_snr=config.zero_terminal_snr)
            model = replace(model, training_scheduler=schedule)
        self.config, self.model, self.all_networks, self.seed = config, model, networks, seed
        self.cache_folder = cache
        self.cache: LatentCache | None = None
        self.schedule = build_schedule(model.training_scheduler)
        self.from_reference = model.start == "reference" and config.reference_start_share > 0
        if (config.own_start or self.from_reference) and self.schedule.prediction_type != "v_prediction":
            raise InputError(
                "task.own_start" if config.own_start else "task.start: reference",
                f"needs a model that predicts velocity; this one has {self.schedule.prediction_type}",
                "Leave it out" if config.own_start else "Set task.reference_start_share to 0",
            )
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            width = driving_width(model) * _POOLED**2
            self.motion_head = nn.Linear(width, len(MOTION_NAMES)) if width else nn.Identity()
            if config.lora is not None:
                add_lora(networks.module("denoiser"), config.lora)
        if config.lora is not None and config.lora.base_precision == "bf16":
            hold_in_bf16(networks.items(), self.trainable)
        self._check_trainable()
        if config.channels_last:
            for _, network in networks.items():
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distillation: Distillation | None = None
        if config.distillation is not None:
            names = [] if config.lora else [n for n, m in networks.items() if self._is_trained(n, m)]
            self.distillation = build_distillation(config.distillation, model, networks, names, seed)
            self.model = few_step_model(config.distillation, model)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        trained = {n: m for n, m in self._by_name().items() if self._is_trained(n, m)}
        if self.config.auxiliary_weight:
            trained["motion_head"] = self.motion_head
        return trained if self.distillation is None else {**trained, **self.distillation.networks}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        own = [m for n, m in self._by_name().items() if not self._is_trained(n, m)]
        return own if self.distillation is None else [*own, *self.distillation.frozen]

    @property
    def family(self) -> str:
        return self.model.family

    @property
    def batch_size(self) -> int:
        return self.config.data.references

    def trainable(self, name: str) -> bool:
        if name.startswith(("motion_head.", "discriminator.")):
            return True
        if self.config.lora is not None:
            return ".lora_" in name
        named = any(part in name for part in self.config.trainable)
        kept = any(part in name for part in self.config.untrained)
        return named and not kept

    def dataset(self, processes: ProcessGroup) -> Dataset[Batch]:
        self._check_validation()
        single = clip_batches(self.config, self.model, self.seed, "train")
        part = BatchPart(single, self.batch_size, processes.part(self.batch_size))
        if not self.config.cached_batches:
            return part
        alone = processes.count == 1
        folder = self.cache_folder / ("" if alone else f"part_{processes.rank}_of_{processes.count}")
        self.cache = LatentCache(part, folder, self.config.cached_batches, self.config.cache_on_device)
        return self.cache

    def set_gradient_checkpointing(self) -> None:
        networks = self.all_networks
        for network in (networks.denoiser, networks.reference_network, *networks.controls.values()):
            network.set_gradient_checkpointing(True)
        networks.vae.enable_gradient_checkpointing()  # counts where its pictures are compared

    def loss(self, batch: Batch, context: StepContext) -> tuple[Tensor, Mapping[str, Tensor]]:
        config, processes = self.config, context.processes
        if self.cache is not None:
            batch = self.cache.whole(batch, processes.device)
        clips, driving_features = self._prepared(batch, context)
        if self.distillation is not None:
            loss, scalars = self.distillation(config, self.all_networks, clips, context)
        else:
            loss, scalars = diffusion_error(
                config, self.schedule, self.all_networks, clips, processes, from_reference=self.from_reference
            )
        if "broken" in batch:
            scalars["broken_clips"] = batch["broken"].float() * processes.count
        if config.auxiliary_weight and driving_features is not None:
            motion_error = self._motion_error(driving_features, batch["motion"])
            weight = config.auxiliary_weight * max(0.0, 1 - context.step / config.auxiliary_steps)
            loss = loss + weight * motion_error
            scalars["motion"] = motion_error.detach()
        return loss, scalars

    def _prepared(self, batch: Batch, context: StepContext) -> tuple[PreparedClips, Tensor | None]:
        """The clips of a batch with conditions and draws, and their unmodulated driving features."""
        config, networks = self.config, self.all_networks
        references = to_signed(batch["references"])
        latents, mean, concatenated, sound = self._encoded(batch, references, context)
        kept = _kept(batch)
        draws = draw_clips(
            config, latents.shape, context.processes, context.generator, kept, networks.controls
        )
        if context.timestep is not None:
            draws = replace(draws, timesteps=torch.full_like(draws.timesteps, context.timestep))
        given = self._clips(batch, references, mean, concatenated, sound)
        composed = compose(self.model, networks, given, draws.kept)
        watch = None
        if config.correspondence_weight:
            watch = Correspondence(batch["reference_points"], batch["target_points"])
        clips = PreparedClips(
            given, composed.conditions, latents, draws, batch["weights"], self._regions(batch), watch
        )
        return clips, composed.driving_features

    def held_out_loss(self, device: torch.device) -> Mapping[str, float]:
        """See ``held_out.held_out_loss``; of the clips that are validated, of one window at most."""
        measured, validation = copy(self), self.config.validation
        if not validation.loss_timesteps:
            return {}
        measured.config, measured.cache = measured_config(self.config), None
        measured.distillation = None
        frames = min(validation.frames, self.config.data.frames)
        clips = clip_batches(measured.config, self.model, self.seed, "held-out", frames)
        return held_out_loss(
            measured.loss,
            measured._with_latents,
            (clips[index] for index in range(validation.clips)),
            timesteps=validation.loss_timesteps,
            seed=self.seed,
            device=device,
        )

    def model_in_training(self) -> LoadedModel:
        return LoadedModel(self.model, self.all_networks, Path("training"))

    def validate(self, device: torch.device, folder: Path | None) -> Mapping[str, float]:
        """Sampled held-out clips against their truth, see ``validate_denoiser``."""
        return validate_denoiser(self.config, self.model, self.all_networks, self.seed, folder)

    def export(self, folder: Path | None) -> None:
        """A model folder: ``config.json`` and one safetensors file per network; or ``lora.safetensors``."""
        dtype = {"fp32": torch.float32, "fp16": torch.float16}[self.config.export_precision]
        if self.config.lora is not None:
            save_lora(self.all_networks.module("denoiser"), self.config.lora, folder, dtype)
        elif self._keeps_base():
            assert self.config.initial_weights is not None
            record = record_of(resolve_model(self.config.initial_weights), self.all_networks)
            save_without_base(self.model, self.all_networks, record, folder, dtype)
        else:
            save_model(self.model, self.all_networks, folder, dtype)

    def _keeps_base(self) -> bool:
        """Whether the spatial weights of the denoiser are a base that others could take the place of."""
        denoiser = self.all_networks.module("denoiser").named_parameters(prefix="denoiser")
        names = [name for name, _ in denoiser if ".motion_modules." not in name]
        based = has_plain_base(self.model) and has_controls(self.model)
        whole = self.config.initial_weights is not None and self.config.model is None
        return whole and based and not any(map(self.trainable, names))

    def _encoded(
        self, batch: Batch, references: Tensor, context: StepContext
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Latents of targets, of references for the network and for the input, and features of the sound.

        They are cached where that is on; those of a sound only where its encoder stays as it is.
        """
        if "latents" in batch:
            mean, sound = batch["reference_latents"], batch.get("sound_features")
            return batch["latents"], mean, mean, None if sound is None else sound.float()
        sampled = self.config.sample_latents
        encoded = encode_clips(self.all_networks.vae, references, batch["targets"], context, sampled)
        ear, sound = self.all_networks.audio_encoder, batch.get("sound_features")
        if ear is not None and sound is None and not self._trains_features():
            sound = batch_features(ear, batch["sound"])
        if self.cache is not None:
            kept = {"latents": encoded[0], "reference_latents": encoded[1]}
            if sound is not None:
                kept["sound_features"] = sound.half()
                sound = kept["sound_features"].float()  # what comes back from the file
            self.cache.store(batch, kept, ("targets",) if sound is None else ("targets", "sound"))
        return *encoded, sound

    def _with_latents(self, batch: Batch, context: StepContext) -> Batch:
        latents, mean, _, sound = self._encoded(batch, to_signed(batch["references"]), context)
        features = {} if sound is None else {"sound_features": sound}
        return {**batch, "latents": latents, "reference_latents": mean, **features}

    def _by_name(self) -> dict[str, nn.Module]:
        return dict(self.all_networks.items())

    def _check_trainable(self) -> None:
        """Raises InputError where an entry of ``trainable`` names no parameter."""
        if self.config.lora is not None:
            return
        names = [name for n, m in self._by_name().items() for name, _ in m.named_parameters(prefix=n)]
        parts = [("trainable", part) for part in self.config.trainable]
        for field, part in [*parts, *(("untrained", part) for part in self.config.untrained)]:
            if not any(part in name for name in names):
                raise InputError(
                    f"task.{field}: {part}",
                    "is in the name of no parameter",
                    f"Name a network ({', '.join(self._by_name())}), a dot after it, or a part such as "
                    "motion_module",
                )

    def _check_validation(self) -> None:
        """Raises InputError where validation would fail, hours later, for want of a clip."""
        if isinstance(self.config.data, PuppetClipsConfig):
            return
        frames = self.config.validation.frames
        try:
            clip_batches(self.config, self.model, self.seed, "held-out", frames)[0]
        except InputError as error:
            remedy = "Use fewer frames, or hold out other clips (task.data.held_out)"
            raise InputError(
                f"task.validation.frames: {frames}",
                f"held-out clips: {error.problem} ({error.subject})",
                remedy,
            ) from error

    def _is_trained(self, prefix: str, network: nn.Module) -> bool:
        return any(self.trainable(name) for name, _ in network.named_parameters(prefix=prefix))

    def _trains_features(self) -> bool:
        """Whether the features of a sound change in training, before they get their place in the window."""
        ear = self.all_networks.module("audio_encoder")
        names = (name for name, _ in ear.named_parameters(prefix="audio_encoder"))
        return any(self.trainable(name) for name in names if ".window_positions." not in name)

    def _clips(
        self, batch: Batch, references: Tensor, mean: Tensor, concatenated: Tensor, sound: Tensor | None
    ) -> Clips:
        """The clips of a batch; without features of their ``sound`` these are made with gradients."""
        return Clips(
            pictures=(references + 1) / 2,
            background_masks=batch["background_masks"],
            mean=mean,
            concatenated=concatenated,
            shown={name: batch[name] for name in MODES[self.model.driving_modes[0]].pictures},
            backgrounds=batch.get("backgrounds"),
            sound=batch.get("sound"),
            sound_features=sound,
            sound_rows=batch.get("sound_rows"),
            sound_weight=batch.get("sound_weight"),
        )

    def _regions(self, batch: Batch) -> Regions:
        """Parts of the picture that the modalities of a batch treat apart."""
        modalities = self.config.modalities
        if modalities is None:
            return ONE_PICTURE
        hides = modalities.masked_attention and bool(batch["hidden"].any())
        return Regions(
            batch["hidden"] if hides else None,
            batch["sounding"] if modalities.local_sound else None,
        )

    def _motion_error(self, features: Tensor, motion: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(features, _POOLED).flatten(1)
        return F.mse_loss(self.motion_head(pooled).float(), motion.flatten(0, 1))


def _kept(batch: Batch) -> Kept | None:
    """What the clips of a batch keep, where their modalities decide it."""
    if "reads" not in batch:
        return None
    return Kept(reference=batch["reads"].cpu(), driver=batch["shows"].cpu(), sound=batch["hears"].cpu())
