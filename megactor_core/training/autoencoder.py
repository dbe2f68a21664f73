"""Task: train the autoencoder on puppet pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from .puppet_pictures import PuppetPictures, to_signed
from .sheets import save_sheet, to_images
from .task import Batch, Position
from .task_config import AutoencoderTaskConfig


class AutoencoderTask:
    """Absolute, squared and normal-divergence errors; eyes, brows and mouth count more."""

    def __init__(self, config: AutoencoderTaskConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.vae = AutoencoderKL(**config.vae)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return ()

    def trainable(self, name: str) -> bool:
        return True

    def dataset(self) -> Dataset[Batch]:
        config = self.config
        return PuppetPictures(self.seed, "train", config.size, config.batch_size, config.feature_weight)

    def set_gradient_checkpointing(self) -> None:
        self.vae.enable_gradient_checkpointing()

    def loss(self, batch: Batch, position: Position) -> tuple[Tensor, Mapping[str, Tensor]]:
        config = self.config
        pictures = to_signed(batch["pictures"])
        posterior = self.vae.encode(pictures).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=position.generator).to(pictures.device)
        output = self.vae.decode((posterior.mean + posterior.std * noise).to(posterior.mean.dtype)).sample
        error = output.float() - pictures
        weights = batch["weights"] / batch["weights"].mean()
        absolute, squared = (weights * error.abs()).mean(), (weights * error.square()).mean()
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
        loss = config.l1_weight * absolute + config.mse_weight * squared + config.kl_weight * divergence
        return loss, {
            "l1": absolute.detach(),
            "mse": error.detach().square().mean(),
            "kl": divergence.detach(),
        }

    def validate(self, device: torch.device, picture: Path) -> Mapping[str, float]:
        """PSNR of held-out pictures in dB over 0..255: mean over pictures, and around the features."""
        pictures, weights = self._held_out(device)
        output = torch.cat([self._reconstruct(part) for part in pictures.split(16)])
        error = (output - pictures).square().mean(1, keepdim=True) / 4
        inside = (weights > 1).float()
        features = (error * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))
        truth, result = to_images(pictures[:16]), to_images(output[:16])
        save_sheet(picture, [truth[:8], result[:8], truth[8:], result[8:]])
        return {
            "psnr": float(-10 * error.mean((1, 2, 3)).log10().mean()),
            "feature_psnr": float(-10 * features.log10().mean()),
        }

    def export(self, folder: Path) -> None:
        """``vae.safetensors`` (fp32) and ``vae.json``: its config with the measured scaling factor."""
        config: dict[str, Any] = {**self.config.vae, "scaling_factor": self._scaling_factor()}
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / ".vae.safetensors.partial"
        save_file({name: t.contiguous() for name, t in self.vae.state_dict().items()}, partial)
        os.replace(partial, folder / "vae.safetensors")
        (folder / "vae.json").write_text(json.dumps(config, indent=1), encoding="utf-8")

    def _held_out(self, device: torch.device) -> tuple[Tensor, Tensor]:
        config = self.config
        batch = PuppetPictures(self.seed, "held-out", config.size, config.validation_pictures, 2.0)[0]
        return to_signed(batch["pictures"].to(device)), batch["weights"].to(device)

    def _reconstruct(self, pictures: Tensor) -> Tensor:
        return self.vae.decode(self.vae.encode(pictures).latent_dist.mean).sample.clamp(-1, 1)

    @torch.no_grad()
    def _scaling_factor(self) -> float:
        """1 / deviation of the latents of training pictures, as in latent diffusion (Rombach et al. 2022)."""
        device = next(self.vae.parameters()).device
        batch = PuppetPictures(self.seed, "train", self.config.size, 256, 1.0)[0]
        pictures = to_signed(batch["pictures"].to(device))
        means = torch.cat([self.vae.encode(part).latent_dist.mean for part in pictures.split(16)])
        return float(1 / means.std())
