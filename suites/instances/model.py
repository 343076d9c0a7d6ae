"""The detector of digits with masks: prototypes at half the size, and coefficients for each box.

A mask is a combination of prototypes that is cut off by its box (Bolya et al. 2019, "YOLACT"). The
outputs are those that Ultralytics' `-seg` exports have.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from suites.digits.model import CLASSES, STRIDES, Detector, conv, decode, separable

PROTOTYPES = 16
WEIGHTS = Path(__file__).parent / "weights.safetensors"


class InstanceSegmenter(nn.Module):
    """The segmenter. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = Detector()
        self.coarse = conv(64, 32, 1)
        self.middle = nn.Sequential(conv(32 + 32, 48, 1), separable(48, 48))
        self.fine = nn.Sequential(conv(48 + 16, 32, 1), separable(32, 32))
        self.prototypes = nn.Conv2d(32, PROTOTYPES, 1)
        self.coefficients = nn.ModuleList(
            nn.Sequential(separable(64, 64), nn.Conv2d(64, PROTOTYPES, 1)) for _ in STRIDES
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A table (N, 4 + CLASSES + PROTOTYPES, A): centre x, y, width and height in pixels of `x`,
        scores in [0, 1] and mask coefficients; and the prototypes (N, PROTOTYPES, H / 2, W / 2).
        """
        detector, up = self.detector, nn.functional.interpolate
        c1 = detector.stem[0](x)
        c2 = detector.stem[2](detector.stem[1](c1))
        levels = detector.pyramid(c2)
        tables = []
        for level, head, coefficients, stride in zip(
            levels, detector.heads, self.coefficients, STRIDES, strict=True
        ):
            logits, distances = head(level)
            left_top, right_bottom = decode(distances, stride).transpose(1, 2).chunk(2, dim=1)
            parts = (
                (left_top + right_bottom) / 2,
                right_bottom - left_top,
                logits.sigmoid().flatten(2),
                coefficients(level).flatten(2),
            )
            tables.append(torch.cat(parts, 1))
        y = self.middle(torch.cat((up(self.coarse(levels[0]), scale_factor=2.0), c2), 1))
        y = self.fine(torch.cat((up(y, scale_factor=2.0), c1), 1))
        return torch.cat(tables, 2), cast(Tensor, self.prototypes(y))


def build() -> nn.Module:
    """The trained segmenter in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    segmenter = InstanceSegmenter()
    load_model(segmenter, WEIGHTS)
    return segmenter.eval()


__all__ = ["CLASSES", "PROTOTYPES", "WEIGHTS", "InstanceSegmenter", "build"]
