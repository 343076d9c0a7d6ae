"""ResNet-50 in plain torch (He et al. 2015, "Deep Residual Learning for Image Recognition").

The stride of a bottleneck is on its 3 x 3 convolution, as in most implementations since. Weights
are random and seeded.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride
_WIDEN = 4


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1, added to the input or to its projection."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _WIDEN
        self.body = nn.Sequential(
            _conv(inputs, width, 1),
            nn.ReLU(),
            _conv(width, width, 3, stride),
            nn.ReLU(),
            _conv(width, outputs, 1),
        )
        same = inputs == outputs and stride == 1
        self.beside: nn.Module = nn.Identity() if same else _conv(inputs, outputs, 1, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm before the sum: its weight is that of the branch."""
        convolution = cast(nn.Sequential, self.body[-1])
        return cast(nn.BatchNorm2d, convolution[1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.beside(x))


def build(classes: int = 1000) -> nn.Sequential:
    """The network in eval mode: float32 (N, 3, H, W) to (N, classes)."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [_conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for width, blocks, stride in _STAGES:
        for index in range(blocks):
            layers.append(Bottleneck(inputs, width, stride if index == 0 else 1))
            inputs = width * _WIDEN
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
    return nn.Sequential(*layers).eval()
