"""SyncNet: a mouth that is seen and a sound that is heard become vectors, near to one another where in sync.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild" (ACCV workshops 2016); the second
published version, which sees whole faces of 224 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

FACE_SIZE = 224
"""Side of the faces in pixels."""
WINDOW = 5
"""Frames that are seen at a time."""
COEFFICIENTS, COLUMNS = 13, 20
"""Of the MFCC that are heard at a time: 0.2 s at 100 columns a second."""
WIDTH = 1024
"""Of the vectors."""


class SyncNet(nn.Module):
    """Two towers of convolutions; the names of their parts are those of the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_layer(nn.Conv2d(1, 64, 3, padding=1)),
            nn.MaxPool2d(1, 1),
            *_layer(nn.Conv2d(64, 192, 3, padding=1)),
            nn.MaxPool2d(3, (1, 2)),
            *_layer(nn.Conv2d(192, 384, 3, padding=1)),
            *_layer(nn.Conv2d(384, 256, 3, padding=1)),
            *_layer(nn.Conv2d(256, 256, 3, padding=1)),
            nn.MaxPool2d(3, 2),
            *_layer(nn.Conv2d(256, 512, (5, 4))),
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(
            *_layer(nn.Conv3d(3, 96, (WINDOW, 7, 7), (1, 2, 2))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer(nn.Conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer(nn.Conv3d(256, 512, (1, 6, 6))),
        )
        self.netfclip = _head()

    def see(self, faces: Tensor) -> Tensor:
        """Vectors ``(F - 4, 1024)`` of every five consecutive frames.

        Args:
            faces: ``(3, F, 224, 224)``, blue, green, red, 0..255.
        """
        windows = self.netcnnlip(faces[None])[0, :, :, 0, 0].T
        return self.netfclip(windows)

    def hear(self, coefficients: Tensor) -> Tensor:
        """Vectors ``(n, 1024)`` of MFCC windows ``(n, 13, 20)``."""
        return self.netfcaud(self.netcnnaud(coefficients[:, None]).flatten(1))


def _layer(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, nn.Module, nn.Module]:
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return convolution, norm(convolution.out_channels), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))
