"""Task: train the autoencoder on rendered pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import InputError
from ...media.contact_sheet import save_sheet, to_images
from ...weights.saving import save_networks
from ..config.tasks import AutoencoderTaskConfig
from ..data.loader import Batch, BatchPart
from ..data.pictures import RenderedPictures, to_signed
from ..distributed import ProcessGroup
from .base import StepContext


class AutoencoderTask:
    """Absolute, squared and normal-divergence errors; eyes, brows and mouth count more.

    Args:
        config: of the task.
        seed: of fresh weights and of the pictures.
        initial: arguments and weights of the autoencoder to start from.

    Raises:
        InputError: ``task.vae`` describes no autoencoder.
    """

    def __init__(
        self,
        config: AutoencoderTaskConfig,
        seed: int,
        initial: tuple[Mapping[str, Any], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.config, self.seed = config, seed
        arguments, state = initial or (config.vae, None)
        assert arguments is not None  # the config has checked it
        self._arguments: Mapping[str, Any] = arguments
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            try:
                self.vae = AutoencoderKL(**self._arguments)
            except Exception as error:  # diffusers and torch refuse in many ways
                problem = f"describes no autoencoder that can be built ({error})"
                raise InputError("task.vae", problem, "See configs/train/demo_autoencoder.yaml") from error
        if state is not None:
            self.vae.load_state_dict(state)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    @property
    def frozen(self) -> Sequence[nn.Module]:
        return ()

    @property
    def family(self) -> str:
        return "autoencoder"

    @property
    def batch_size(self) -> int:
        return self.config.batch_size

    def trainable(self, name: str) -> bool:
        return True

    def dataset(self, processes: ProcessGroup) -> Dataset[Batch]:
        config = self.config
        single = RenderedPictures(
            self.seed, "train", config.size, 1, config.feature_weight, config.procedural_share, config.crop
        )
        return BatchPart(single, config.batch_size, processes.part(config.batch_size))

    def set_gradient_checkpointing(self) -> None:
        self.vae.enable_gradient_checkpointing()

    def loss(self, batch: Batch, context: StepContext) -> tuple[Tensor, Mapping[str, Tensor]]:
        config, processes = self.config, context.processes
        pictures = to_signed(batch["pictures"])
        posterior = self.vae.encode(pictures).latent_dist
        shape = (config.batch_size, *posterior.mean.shape[1:])
        noise = torch.randn(shape, generator=context.generator)[processes.part(config.batch_size)]
        noise = noise.to(pictures.device)
        output = self.vae.decode((posterior.mean + posterior.std * noise).to(posterior.mean.dtype)).sample
        error = output.float() - pictures
        weights = batch["weights"] / processes.mean(batch["weights"].mean())
        absolute, squared = (weights * error.abs()).mean(), (weights * error.square()).mean()
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
        loss = config.l1_weight * absolute + config.mse_weight * squared + config.kl_weight * divergence
        return loss, {
            "l1": absolute.detach(),
            "mse": error.detach().square().mean(),
            "kl": divergence.detach(),
        }

    def held_out_loss(self, device: torch.device) -> Mapping[str, float]:
        """Nothing: no noise is drawn, so validation measures the same every time."""
        return {}

    def model_in_training(self) -> None:
        return None

    def validate(self, device: torch.device, folder: Path | None) -> Mapping[str, float]:
        """PSNR of held-out pictures in dB over 0..255: mean over pictures, and around a puppet's features."""
        pictures, weights = self._held_out(device, 0.0)
        error, output = self._errors(pictures)
        inside = (weights > 1).float()
        features = (error * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))
        values = {"psnr": _psnr(error.mean((1, 2, 3))), "feature_psnr": _psnr(features)}
        rows = [pictures[:8], output[:8], pictures[8:16], output[8:16]]
        if self.config.procedural_share:
            pictures, _ = self._held_out(device, 1.0)
            error, output = self._errors(pictures)
            values["procedural_psnr"] = _psnr(error.mean((1, 2, 3)))
            rows += [pictures[:8], output[:8]]
        if folder is not None:
            save_sheet(folder / "pictures.png", [to_images(row) for row in rows])
        return values

    def export(self, folder: Path | None) -> None:
        """``vae.safetensors`` (fp32) and ``vae.json``: its config with the measured scaling factor."""
        config: dict[str, Any] = {**self._arguments, "scaling_factor": self._scaling_factor()}
        save_networks([("vae", self.vae)], config, "vae.json", folder, torch.float32)

    def _held_out(self, device: torch.device, procedural_share: float) -> tuple[Tensor, Tensor]:
        size, count = self.config.size, self.config.validation_pictures
        batch = RenderedPictures(self.seed, "held-out", size, count, 2.0, procedural_share)[0]
        return to_signed(batch["pictures"].to(device)), batch["weights"].to(device)

    def _errors(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors over 0..1, (B, 1, S, S), and the pictures that come back."""
        output = torch.cat([self._reconstruct(part) for part in pictures.split(16)])
        return (output - pictures).square().mean(1, keepdim=True) / 4, output

    def _reconstruct(self, pictures: Tensor) -> Tensor:
        return self.vae.decode(self.vae.encode(pictures).latent_dist.mean).sample.clamp(-1, 1)

    @torch.no_grad()
    def _scaling_factor(self) -> float:
        """1 / deviation of the latents of training pictures, as in latent diffusion (Rombach et al. 2022)."""
        device = next(self.vae.parameters()).device
        batch = RenderedPictures(self.seed, "train", self.config.size, 256, 1.0)[0]
        pictures = to_signed(batch["pictures"].to(device))
        means = torch.cat([self.vae.encode(part).latent_dist.mean for part in pictures.split(16)])
        return float(1 / means.std())


def _psnr(errors: Tensor) -> float:
    """Mean over pictures, of squared errors over 0..1."""
    return float(-10 * errors.log10().mean())
