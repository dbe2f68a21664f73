"""Task: train the denoiser with its reference network, in either of MegActor's two stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..conditioning.background import image_tokens
from ..data.motion import MOTION_NAMES
from ..errors import InputError
from ..models.build import Networks
from ..models.config import ModelConfig
from .denoiser_validation import validate_denoiser
from .latent_cache import LatentCache
from .model_folder import save_model
from .noising import LAST_TIMESTEP, Noising, draw_noise, draw_timesteps, start_some
from .prediction_error import prediction_error, relative_difference
from .puppet_clips import PuppetClips
from .puppet_pictures import to_signed
from .task import Batch, Position
from .task_config import DenoiserTaskConfig

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
        self.config, self.model, self.all_networks, self.seed = config, model, networks, seed
        self.cache = (
            LatentCache(self._clips(), cache, config.cached_batches) if config.cached_batches else None
        )
        self.noising = Noising(model.training_scheduler)
        if config.own_start and self.noising.prediction_type != "v_prediction":
            raise InputError(
                "task.own_start",
                f"needs a model that predicts velocity; this one has {self.noising.prediction_type}",
                "Leave it out",
            )
        assert model.driving_encoder is not None
        width = model.driving_encoder.channels[-1]
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.motion_head = nn.Linear(width * _POOLED**2, len(MOTION_NAMES))
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

    def trainable(self, name: str) -> bool:
        return name.startswith("motion_head.") or any(part in name for part in self.config.trainable)

    def dataset(self) -> Dataset[Batch]:
        return self.cache or self._clips()

    def _clips(self) -> PuppetClips:
        config, model = self.config.data, self.model
        assert model.image_encoder is not None
        latent_size = config.size // model.vae_scale_factor
        return PuppetClips(
            config,
            self.seed,
            "train",
            latent_size,
            model.image_encoder["image_size"],
            self.config.feature_weight,
            second_driver=self.config.driver_consistency_weight > 0,
        )

    def set_gradient_checkpointing(self) -> None:
        self.all_networks.denoiser.set_gradient_checkpointing(True)
        self.all_networks.reference_network.set_gradient_checkpointing(True)

    def loss(self, batch: Batch, position: Position) -> tuple[Tensor, Mapping[str, Tensor]]:
        config, networks, generator = self.config, self.all_networks, position.generator
        references = to_signed(batch["references"])
        latents, reference_latents, static_latents = self._latents(batch, references, generator)
        device, count, frames = latents.device, latents.shape[0], latents.shape[2]
        timesteps, noise = (tensor.to(device) for tensor in self._timesteps_and_noise(latents, generator))
        reading = int((torch.rand(count, generator=generator) >= config.reference_dropout).sum())
        tokens = image_tokens(networks.image_encoder, batch["backgrounds"])
        features, driving = self._drive(references, batch["driving"])
        static = torch.cat([static_latents, batch["background_masks"]], dim=1)[:, :, None]
        given = Given(
            torch.cat([static.expand(-1, -1, frames, -1, -1), driving], dim=1), tokens, reference_latents
        )
        noisy, target = self.noising(latents, noise, timesteps)
        sizes = torch.ones_like(noisy[:, :1, :1, :1, :1])
        rows = (timesteps < LAST_TIMESTEP).nonzero().flatten()
        if config.own_start and len(rows):
            start = noise[rows] * config.start_noise_scale
            guess = self._first_guess(start, given.rows(rows))
            noisy[rows], target[rows], sizes[rows] = self.noising.correction(
                latents[rows], guess, start, timesteps[rows]
            )
        difference = (self._predict(noisy, timesteps, given, reading).float() - target) * sizes
        loss = prediction_error(difference, batch["weights"], config.change_weight)
        scalars = {"mse": difference.detach().square().mean()}
        if config.driver_consistency_weight:
            _, second = self._drive(references, batch["second_driving"])
            disagreement = relative_difference(driving, second)
            loss = loss + config.driver_consistency_weight * disagreement
            scalars["driver_difference"] = disagreement.detach()
        if config.auxiliary_weight:
            motion_error = self._motion_error(features, batch["motion"])
            weight = config.auxiliary_weight * max(0.0, 1 - position.step / config.auxiliary_steps)
            loss = loss + weight * motion_error
            scalars["motion"] = motion_error.detach()
        return loss, scalars

    def validate(self, device: torch.device, picture: Path) -> Mapping[str, float]:
        """Sampled held-out clips against their exact truth: PSNR in dB, and that of the copied reference."""
        return validate_denoiser(self.config, self.model, self.all_networks, self.seed, picture)

    def export(self, folder: Path) -> None:
        """A model folder: ``config.json`` and one safetensors file per network."""
        dtype = {"fp32": torch.float32, "fp16": torch.float16}[self.config.export_precision]
        save_model(self.model, self.all_networks, folder, dtype)

    def _by_name(self) -> dict[str, nn.Module]:
        return dict(self.all_networks.items())

    def _is_trained(self, prefix: str, network: nn.Module) -> bool:
        return any(self.trainable(name) for name, _ in network.named_parameters(prefix=prefix))

    def _latents(
        self, batch: Batch, references: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of targets, references for the network, and references for the input; cached where that is on."""
        if "latents" in batch:
            return batch["latents"], batch["reference_latents"], batch["reference_latents"]
        encoded = self._encode(references, batch["targets"], generator)
        if self.cache is not None:
            self.cache.store(batch, {"latents": encoded[0], "reference_latents": encoded[1]}, ("targets",))
        return encoded

    @torch.no_grad()
    def _encode(
        self, references: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled latents of targets (R, C, F, h, w), of references for the network, and for the input."""
        vae, (count, frames) = self.all_networks.vae, targets.shape[:2]
        pictures = torch.cat([references, to_signed(targets.flatten(0, 1))])
        posterior = vae.encode(pictures).latent_dist
        drawn = posterior.mean.float()
        if self.config.sample_latents:
            noise = torch.randn(drawn.shape, generator=generator).to(drawn.device)
            drawn = drawn + posterior.std.float() * noise
        scale = vae.config.scaling_factor
        latents = (drawn[count:] * scale).unflatten(0, (count, frames)).transpose(1, 2)
        return latents, posterior.mean[:count].float() * scale, drawn[:count] * scale

    def _timesteps_and_noise(self, latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Timesteps (R,) and noise like the latents (R, C, F, h, w), on the CPU."""
        config = self.config
        timesteps = draw_timesteps(latents.shape[0], config.timestep_power, generator)
        noise = draw_noise(latents.shape, config.shared_noise, config.offset_noise, generator)
        if not config.start_share:
            return timesteps, noise
        return start_some(timesteps, noise, config.start_share, config.start_noise_scale, generator)

    def _drive(self, references: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Unmodulated features of the driving frames, and the channels that join the noisy latent."""
        encoder = self.all_networks.denoiser.condition_input_layer
        pictures = (references + 1) / 2
        small = F.interpolate(pictures, size=(encoder.reference_size,) * 2, mode="bilinear")
        grey = (driving.float() / 255)[:, None].expand(-1, 3, -1, -1, -1)
        features = encoder.features(grey)
        return features, encoder.modulate(features, encoder.modulation(small), driving.shape[1])

    def _predict(self, noisy: Tensor, timesteps: Tensor, given: Given, reading: int) -> Tensor:
        """Noise or velocity (R, C, F, h, w); the last ``reading`` clips read their reference."""
        denoiser = self.all_networks.denoiser
        sample = torch.cat([noisy, given.inputs], dim=1)
        if torch.is_grad_enabled():
            # Without this, the first trained GroupNorm of stage 2 gets an input that needs no gradient, and
            # the channels-last kernel of PyTorch 2.13 crashes on that (CPU).
            sample.requires_grad_()
        return denoiser(
            sample,
            timesteps,
            denoiser.context_keys_values(given.tokens),
            self._read_reference(given.reference_latents, timesteps, given.tokens, reading)
            if reading
            else None,
            rows=noisy.shape[0],
            reading_rows=reading,
            motion=self.config.motion_modules,
        )

    @torch.no_grad()
    def _first_guess(self, start: Tensor, given: Given) -> Tensor:
        """Latents as the first step of sampling sees them in noise (R, C, F, h, w)."""
        timesteps = torch.full((len(start),), LAST_TIMESTEP, device=start.device)
        velocity = self._predict(start, timesteps, given, len(start)).float()
        return self.noising.clean(start, velocity, timesteps)

    def _read_reference(self, latents: Tensor, timesteps: Tensor, tokens: Tensor, reading: int) -> Mapping:
        """Keys and values for the last ``reading`` rows; the others train the unguided prediction."""
        network = self.all_networks.reference_network
        last = slice(latents.shape[0] - reading, None)
        context = network.context_keys_values(tokens[last])
        bank = network(latents[last], timesteps[last], context)
        return self.all_networks.denoiser.reference_keys_values(bank)

    def _motion_error(self, features: Tensor, motion: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(features, _POOLED).flatten(1)
        return F.mse_loss(self.motion_head(pooled).float(), motion.flatten(0, 1))
