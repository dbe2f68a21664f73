"""Task: train the denoiser with its reference network, in either of MegActor's two stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...conditioning.background import image_tokens
from ...errors import InputError
from ...families.features import encodes_driver, reads_background
from ...families.registry import families_with
from ...models.config import ModelConfig
from ...models.denoiser import KeyValues
from ...models.networks import Networks
from ...puppets.motion import MOTION_NAMES
from ...sampling.schedule import LAST_TIMESTEP, build_schedule
from ...weights.saving import save_model
from ..config.tasks import DenoiserTaskConfig, PuppetClipsConfig
from ..data.batches import clip_batches
from ..data.loader import Batch, BatchPart
from ..data.pictures import to_signed
from ..distributed import Processes
from .base import Position
from .draws import draw_clips
from .latents import LatentCache, encode_clips
from .lora import add_lora, save_lora
from .losses import min_snr_weights, prediction_error
from .validation import validate_denoiser

_POOLED = 4


@dataclass(frozen=True)
class Given:
    """What the denoiser is given beside the noisy latents.

    inputs: (R, C, F, h, w), joins them. tokens: background tokens (R, tokens, width). reference_latents:
    (R, C, h, w).
    """

    inputs: Tensor
    tokens: Tensor
    reference_latents: Tensor

    def rows(self, rows: Tensor) -> Given:
        """The same of some clips."""
        return Given(self.inputs[rows], self.tokens[rows], self.reference_latents[rows])


class DenoiserTask:
    """Mean squared error of the predicted noise or velocity.

    Source: MegActor (arXiv 2405.20851), sections 3 and 4. Stage 1 trains everything, stage 2 (``trainable:
    [motion_module]``) the temporal modules. Reference network, background tokens and modulation are computed
    once per reference and serve all its target frames.
    """

    def __init__(
        self, config: DenoiserTaskConfig, model: ModelConfig, networks: Networks, seed: int, cache: Path
    ) -> None:
        driving_encoder = model.driving_encoder
        if driving_encoder is None or not reads_background(model):
            subject = "task.model.family" if config.model is not None else "task.initial_weights"
            trained = families_with(lambda other: encodes_driver(other) and reads_background(other))
            raise InputError(
                f"{subject}: {model.family}",
                "cannot be trained here",
                f"Only {' and '.join(family.name for family in trained)} can",
            )
        if config.schedule is not None:
            model = replace(model, inference_scheduler=config.schedule, training_scheduler=config.schedule)
        if config.start is not None:
            model = replace(model, start=config.start)
        _check_window(config, model)
        if config.zero_terminal_snr is not None:
            schedule = replace(model.training_scheduler, rescale_betas_zero_snr=config.zero_terminal_snr)
            model = replace(model, training_scheduler=schedule)
        self.config, self.model, self.all_networks, self.seed = config, model, networks, seed
        self.cache_folder = cache
        self.cache: LatentCache | None = None
        self.schedule = build_schedule(model.training_scheduler)
        self.from_reference = model.start == "reference"
        if (config.own_start or self.from_reference) and self.schedule.prediction_type != "v_prediction":
            raise InputError(
                "task.own_start" if config.own_start else "start: reference",
                f"needs a model that predicts velocity; this one has {self.schedule.prediction_type}",
                "Leave it out",
            )
        width = driving_encoder.channels[-1]
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.motion_head = nn.Linear(width * _POOLED**2, len(MOTION_NAMES))
            if config.lora is not None:
                add_lora(networks.module("denoiser"), config.lora)
        self._check_trainable()
        if config.channels_last:
            for _, network in networks.items():
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        trained = {n: m for n, m in self._by_name().items() if self._is_trained(n, m)}
        return {**trained, "motion_head": self.motion_head} if self.config.auxiliary_weight else trained

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return [m for n, m in self._by_name().items() if not self._is_trained(n, m)]

    @property
    def family(self) -> str:
        return self.model.family

    @property
    def batch_size(self) -> int:
        return self.config.data.references

    def trainable(self, name: str) -> bool:
        if self.config.lora is not None:
            return ".lora_" in name
        return name.startswith("motion_head.") or any(part in name for part in self.config.trainable)

    def dataset(self, processes: Processes) -> Dataset[Batch]:
        self._check_validation()
        single = clip_batches(self.config, self.model, self.seed, "train")
        part = BatchPart(single, self.batch_size, processes.part(self.batch_size))
        if not self.config.cached_batches:
            return part
        alone = processes.count == 1
        folder = self.cache_folder / ("" if alone else f"part_{processes.rank}_of_{processes.count}")
        self.cache = LatentCache(part, folder, self.config.cached_batches)
        return self.cache

    def set_gradient_checkpointing(self) -> None:
        self.all_networks.denoiser.set_gradient_checkpointing(True)
        self.all_networks.reference_network.set_gradient_checkpointing(True)

    def loss(self, batch: Batch, position: Position) -> tuple[Tensor, Mapping[str, Tensor]]:
        config, networks, processes = self.config, self.all_networks, position.processes
        schedule = self.schedule
        references = to_signed(batch["references"])
        latents, reference_latents, static_latents = self._latents(batch, references, position)
        device, frames = latents.device, latents.shape[2]
        draws = draw_clips(config, latents.shape, processes, position.generator)
        timesteps, noise = draws.timesteps.to(device), draws.noise.to(device)
        tokens = image_tokens(networks.image_encoder, batch["backgrounds"])
        tokens = tokens * draws.shows_background.to(tokens)[:, None, None]
        shown = draws.shows_driver.to(device)[:, None, None, None]
        features, driving = self._drive(references, batch["driving"] * shown)
        static = torch.cat([static_latents, batch["background_masks"]], dim=1)[:, :, None]
        given = Given(
            torch.cat([static.expand(-1, -1, frames, -1, -1), driving], dim=1), tokens, reference_latents
        )
        later = timesteps < LAST_TIMESTEP
        start_noise = torch.where(later, config.start_noise_scale, 1.0).view(-1, 1, 1, 1, 1) * noise
        start = self._start(start_noise, given)
        noisy, target = schedule.noisy(latents, noise, timesteps), schedule.target(latents, noise, timesteps)
        sizes = torch.ones_like(noisy[:, :1, :1, :1, :1])
        if self.from_reference:
            noisy = schedule.renoise(start, latents, _last(start), timesteps)
            target = schedule.prediction(noisy, latents, timesteps)
            sizes = schedule.error_scale(noisy, timesteps)
        if config.min_snr_gamma:
            weights = min_snr_weights(schedule, timesteps, config.min_snr_gamma)
            sizes = sizes * weights.sqrt().view(sizes.shape)
        if draws.joins_start:
            rows = later.nonzero().flatten()
            taken = rows if len(rows) else torch.zeros(1, dtype=torch.int64, device=device)
            after_start = self._after_first_step(start[taken], given.rows(taken), timesteps[taken])
            noisy[rows] = after_start[: len(rows)]
            target[rows] = schedule.prediction(noisy[rows], latents[rows], timesteps[rows])
            sizes[rows] = schedule.error_scale(noisy[rows], timesteps[rows])
        prediction = self._predict(noisy, timesteps, given, draws.reading, draws.joins_reading)
        difference = (prediction.float() - target) * sizes
        loss = prediction_error(difference, batch["weights"], config.change_weight, processes)
        scalars = {"mse": difference.detach().square().mean()}
        if "broken" in batch:
            scalars["broken_clips"] = batch["broken"].float() * processes.count
        if config.auxiliary_weight:
            motion_error = self._motion_error(features, batch["motion"])
            weight = config.auxiliary_weight * max(0.0, 1 - position.step / config.auxiliary_steps)
            loss = loss + weight * motion_error
            scalars["motion"] = motion_error.detach()
        return loss, scalars

    def validate(self, device: torch.device, folder: Path | None) -> Mapping[str, float]:
        """Sampled held-out clips against their truth, see ``validate_denoiser``."""
        return validate_denoiser(self.config, self.model, self.all_networks, self.seed, folder)

    def export(self, folder: Path | None) -> None:
        """A model folder: ``config.json`` and one safetensors file per network; or ``lora.safetensors``."""
        dtype = {"fp32": torch.float32, "fp16": torch.float16}[self.config.export_precision]
        if self.config.lora is not None:
            save_lora(self.all_networks.module("denoiser"), self.config.lora, folder, dtype)
        else:
            save_model(self.model, self.all_networks, folder, dtype)

    def _latents(self, batch: Batch, references: Tensor, position: Position) -> tuple[Tensor, Tensor, Tensor]:
        """Of targets, references for the network, and references for the input; cached where that is on."""
        if "latents" in batch:
            return batch["latents"], batch["reference_latents"], batch["reference_latents"]
        sampled = self.config.sample_latents
        encoded = encode_clips(self.all_networks.vae, references, batch["targets"], position, sampled)
        if self.cache is not None:
            self.cache.store(batch, {"latents": encoded[0], "reference_latents": encoded[1]}, ("targets",))
        return encoded

    def _by_name(self) -> dict[str, nn.Module]:
        return dict(self.all_networks.items())

    def _check_trainable(self) -> None:
        """Raises InputError where an entry of ``trainable`` names no parameter."""
        if self.config.lora is not None:
            return
        names = [name for n, m in self._by_name().items() for name, _ in m.named_parameters(prefix=n)]
        for part in self.config.trainable:
            if not any(part in name for name in names):
                raise InputError(
                    f"task.trainable: {part}",
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

    def _drive(self, references: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Unmodulated features of the driving frames, and the channels that join the noisy latent."""
        encoder = self.all_networks.denoiser.driving_encoder
        assert encoder is not None  # the family's has one
        pictures = (references + 1) / 2
        small = F.interpolate(pictures, size=(encoder.reference_size,) * 2, mode="bilinear")
        grey = (driving.float() / 255)[:, None].expand(-1, 3, -1, -1, -1)
        features = encoder.features(grey)
        return features, encoder.modulate(features, encoder.modulation(small), driving.shape[1])

    def _predict(
        self, noisy: Tensor, timesteps: Tensor, given: Given, reading: int, joins: bool = True
    ) -> Tensor:
        """Noise or velocity (R, C, F, h, w); the last ``reading`` clips read their reference.

        Where none does and the process still ``joins``, the reference network runs without an effect.
        """
        denoiser = self.all_networks.denoiser
        sample = torch.cat([noisy, given.inputs], dim=1)
        if torch.is_grad_enabled():
            # Without this, the first trained GroupNorm of stage 2 gets an input that needs no gradient, and
            # the channels-last kernel of PyTorch 2.13 crashes on that (CPU).
            sample.requires_grad_()
        context = denoiser.context_keys_values(given.tokens)
        read = self._read_reference(given, timesteps, max(reading, 1)) if joins else None
        prediction = denoiser(
            sample,
            timesteps,
            context,
            read if reading else None,
            rows=noisy.shape[0],
            reading_rows=reading,
            motion=self.config.motion_modules,
        )
        if read is not None and not reading:
            prediction = prediction + 0 * sum(pair.key.sum() + pair.value.sum() for pair in read.values())
        return prediction

    def _start(self, noise: Tensor, given: Given) -> Tensor:
        """What sampling starts from, with this noise (R, C, F, h, w)."""
        if not self.from_reference:
            return noise
        return self.schedule.noisy(given.reference_latents[:, :, None], noise, _last(noise))

    @torch.no_grad()
    def _after_first_step(self, start: Tensor, given: Given, timesteps: Tensor) -> Tensor:
        """What sampling has at ``timesteps`` if its first step leads there (R, C, F, h, w)."""
        last = _last(start)
        velocity = self._predict(start, last, given, len(start)).float()
        guess = self.schedule.clean(start, velocity, last)
        return self.schedule.renoise(start, guess, last, timesteps)

    def _read_reference(self, given: Given, timesteps: Tensor, reading: int) -> Mapping[str, KeyValues]:
        """Keys and values for the last ``reading`` rows; the others train the unguided prediction."""
        network = self.all_networks.reference_network
        last = slice(timesteps.shape[0] - reading, None)
        context = network.context_keys_values(given.tokens[last])
        bank = network(given.reference_latents[last], timesteps[last], context)
        return self.all_networks.denoiser.reference_keys_values(bank)

    def _motion_error(self, features: Tensor, motion: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(features, _POOLED).flatten(1)
        return F.mse_loss(self.motion_head(pooled).float(), motion.flatten(0, 1))


def _last(latents: Tensor) -> Tensor:
    """The last timestep for each clip."""
    return torch.full((len(latents),), LAST_TIMESTEP, device=latents.device)


def _check_window(config: DenoiserTaskConfig, model: ModelConfig) -> None:
    longest = model.denoiser.motion_max_positions
    if config.motion_modules and config.data.frames > longest:
        raise InputError(
            f"task.data.frames: {config.data.frames}",
            f"is a longer window than the model's {longest} temporal positions",
            f"Use {longest} or fewer",
        )
