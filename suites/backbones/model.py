"""A small classifier: a backbone, and a head that reads the mean of its map of features."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from suites.backbones.data import CLASSES

WIDTH = 64
_SEED = 0


class Classifier(nn.Module):
    """(N, 3, H, W) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            *_conv(3, 16, 1), *_conv(16, 32, 2), *_conv(32, WIDTH, 2), *_conv(WIDTH, WIDTH, 2)
        )
        self.head = nn.Linear(WIDTH, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return cast(Tensor, self.head(self.backbone(images).mean((2, 3))))


def _conv(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def build() -> nn.Module:
    """The classifier before any training, the same every time."""
    torch.manual_seed(_SEED)
    return Classifier().eval()
