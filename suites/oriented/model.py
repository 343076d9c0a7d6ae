"""A small detector of rotated boxes: inverted residuals, a top-down pyramid, a cell in eight
pixels.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from suites.digits.model import CLASSES as DIGITS
from suites.digits.model import separable
from suites.segments.model import Segmenter

STRIDE = 8
WEIGHTS = Path(__file__).parent / "weights.safetensors"
SIZE = 4.0
"""Strides that a cell's width and height of 1 stand for."""

_WIDTH = 48
_BOX = 5  # numbers of a box: centre, width, height, angle


class OrientedDetector(Segmenter):
    """The detector. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""

    def __init__(self) -> None:
        super().__init__(_WIDTH, (20, 40, 64, 96))
        out = nn.Conv2d(_WIDTH, _BOX + DIGITS, 1)
        nn.init.constant_(cast(Tensor, out.bias)[_BOX:], -4.6)  # a prior of 1 %
        self.head = nn.Sequential(
            separable(_WIDTH, _WIDTH, 2), separable(_WIDTH, 64), separable(64, _WIDTH), out
        )

    def raw(self, x: Tensor) -> Tensor:
        """Of each cell (N, 5 + 10, H / 8, W / 8): the centre's offset in strides, logarithms
        of width and height, the angle before its sigmoid, and logits of the ten digits.
        """
        return super().forward(x)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4 + 1 + 1, A): centre, width and height in pixels, the score of any digit, and the
        angle in radians.
        """
        raw = self.raw(x)
        height, width = raw.shape[2], raw.shape[3]
        y = ((torch.arange(height, dtype=torch.float32) + 0.5) * STRIDE)[:, None]
        x_cells = ((torch.arange(width, dtype=torch.float32) + 0.5) * STRIDE)[None, :]
        boxes = [
            raw[:, 0] * STRIDE + x_cells,
            raw[:, 1] * STRIDE + y,
            raw[:, 2].exp() * (SIZE * STRIDE),
            raw[:, 3].exp() * (SIZE * STRIDE),
        ]
        angle = (raw[:, 4:5].sigmoid() - 0.5) * math.pi
        score = 1.0 - (1.0 - raw[:, _BOX:].sigmoid()).prod(1, keepdim=True)
        return torch.cat([torch.stack(boxes, 1), score, angle], 1).flatten(2)


def build() -> nn.Module:
    """The trained detector in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    detector = OrientedDetector()
    load_model(detector, WEIGHTS)
    return detector.eval()
