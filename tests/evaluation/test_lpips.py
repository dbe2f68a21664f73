"""LPIPS against torchmetrics' own network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchmetrics.functional.image import lpips as reference

from megactor_core.errors import InputError
from megactor_core.evaluation.measures.lpips import Lpips, alexnet_features


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AlexNet with random weights, as torchvision saves it."""
    torch.manual_seed(0)
    tensors = {f"features.{name}": value for name, value in alexnet_features().state_dict().items()}
    tensors["classifier.1.weight"] = torch.zeros(4, 4)
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(tensors, path)
    return path


def test_distances_are_those_of_torchmetrics(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lpips = Lpips(weights)
    # torchvision, which torchmetrics would ask for the network, is not needed for the comparison
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: lpips.network)
    theirs = reference._NoTrainLpips(net="alex", pnet_rand=True)
    first, second = torch.rand(2, 3, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    expected = theirs(first, second, normalize=True).flatten()
    torch.testing.assert_close(lpips.distances(first, second), expected, rtol=1e-4, atol=1e-6)
    assert expected.min() > 0
    assert lpips.distances(first, first).abs().max() == 0


def test_safetensors_are_read_too(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "alexnet.safetensors"
    save_file(torch.load(weights, weights_only=True), path)
    first, second = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(Lpips(path).distances(first, second), Lpips(weights).distances(first, second))


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(InputError, match="AlexNet"):
        Lpips(path)
