"""LPIPS on AlexNet: how unlike two pictures look, by the features of a network that recognises things."""

from __future__ import annotations

from pathlib import Path

import torch
import torchmetrics
from torch import Tensor, nn
from torch.nn.functional import normalize

from ...errors import InputError
from ...weights.tensor_files import open_tensor_file

# Layers of AlexNet's ``features`` whose output is compared: the five activations.
_COMPARED = (1, 4, 7, 9, 11)
_MEAN = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
_REMEDY = "Give torchvision's AlexNet: alexnet-owt-7be5be79.pth, or a .safetensors file of its tensors"


class Lpips:
    """LPIPS (Zhang et al. 2018), version 0.1 on AlexNet, as ``torchmetrics`` computes it.

    torchmetrics gets the network from torchvision, which downloads and unpickles it; here the user names the
    file, and only tensors are read. The calibration of the features comes from torchmetrics.

    Args:
        weights: AlexNet trained on ImageNet, with torchvision's keys ``features.*``.

    Raises:
        InputError: no such file, or not AlexNet's.
    """

    def __init__(self, weights: Path) -> None:
        self.network = alexnet_features()
        self._load(weights)
        heads = open_tensor_file(
            Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / "alex.pth"
        )
        names = [f"lin{index}.model.1.weight" for index in range(len(_COMPARED))]
        self.heads = [weight.float().clone() for _, weight in heads.stream(names)]

    def _load(self, weights: Path) -> None:
        file = open_tensor_file(weights)
        expected = {f"features.{name}": tuple(t.shape) for name, t in self.network.state_dict().items()}
        if any(file.shapes.get(name) != shape for name, shape in expected.items()):
            raise InputError(weights, "does not hold the features of AlexNet", _REMEDY)
        self.network.load_state_dict(
            {name.removeprefix("features."): tensor.float().clone() for name, tensor in file.stream(expected)}
        )

    @torch.inference_mode()
    def distances(self, first: Tensor, second: Tensor) -> Tensor:
        """``differentiable`` without gradients."""
        return self.differentiable(first, second)

    def differentiable(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of each pair, float32 ``(N,)``, 0 for equal pictures.

        Args:
            first, second: float32 ``(N, 3, H, W)`` in 0..1, at least 64 pixels a side; on the device of
                ``network``.
        """
        total = first.new_zeros(len(first))
        for one, other, head in zip(self._features(first), self._features(second), self.heads, strict=True):
            total += torch.nn.functional.conv2d((one - other).square(), head.to(one)).mean((1, 2, 3))
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        """Activations, each pixel's of length 1."""
        values, activations = ((images * 2 - 1) - _MEAN.to(images)) / _DEVIATION.to(images), []
        for index, layer in enumerate(self.network):
            values = layer(values)
            if index in _COMPARED:
                activations.append(normalize(values, dim=1, eps=1e-8))
        return activations


def alexnet_features() -> nn.Sequential:
    """The convolutions of AlexNet up to the last activation (Krizhevsky 2014, as torchvision has them)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    ).eval()
