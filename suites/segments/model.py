"""A compact segmenter: inverted residuals, a top-down pyramid, logits at a quarter of the size."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import Tensor, nn

from suites.digits.model import Block, conv, separable

CLASSES = 11
STRIDE = 4
WEIGHTS = Path(__file__).parent / "weights.safetensors"


class Segmenter(nn.Module):
    """The segmenter. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""

    def __init__(
        self, width: int = 48, stages: tuple[int, int, int, int] = (24, 48, 80, 128)
    ) -> None:
        super().__init__()
        c2, c3, c4, c5 = stages
        self.stage2 = nn.Sequential(conv(3, 16, 3, 2), conv(16, c2, 3, 2), Block(c2, c2))
        self.stage3 = nn.Sequential(Block(c2, c3, 2, widen=3), Block(c3, c3), Block(c3, c3))
        self.stage4 = nn.Sequential(Block(c3, c4, 2, widen=3), Block(c4, c4), Block(c4, c4))
        self.stage5 = nn.Sequential(Block(c4, c5, 2, widen=3), Block(c5, c5))
        self.laterals = nn.ModuleList(conv(size, width, 1) for size in stages)
        self.smooth = nn.ModuleList(separable(width, width) for _ in stages[:-1])
        self.head = nn.Sequential(separable(width, width), nn.Conv2d(width, CLASSES, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, CLASSES, H / 4, W / 4)."""
        return cast(Tensor, self.head(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """What the head reads, (N, width, H / 4, W / 4)."""
        levels = []
        for stage in (self.stage2, self.stage3, self.stage4, self.stage5):
            x = stage(x)
            levels.append(x)
        y = self.laterals[-1](levels[-1])
        for lateral, smooth, level in zip(
            self.laterals[-2::-1], self.smooth, levels[-2::-1], strict=True
        ):
            y = smooth(lateral(level) + nn.functional.interpolate(y, scale_factor=2.0))
        return cast(Tensor, y)


def build() -> nn.Module:
    """The trained segmenter in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    segmenter = Segmenter()
    load_model(segmenter, WEIGHTS)
    return segmenter.eval()
