"""A compact anchor-free detector: inverted residuals, a small two-way pyramid, three levels."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

CLASSES = 10
STRIDES = (8, 16, 32)
WEIGHTS = Path(__file__).parent / "weights.safetensors"


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3 x 3 convolution and a pointwise one."""
    return nn.Sequential(conv(inputs, inputs, 3, stride, groups=inputs), conv(inputs, outputs, 1))


class Block(nn.Module):
    """An inverted residual: widen, filter, narrow; added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, widen: int = 2) -> None:
        super().__init__()
        inner = inputs * widen
        self.body = nn.Sequential(
            conv(inputs, inner, 1),
            conv(inner, inner, 3, stride, groups=inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = cast(Tensor, self.body(x))
        return x + y if self.residual else y


class Head(nn.Module):
    """One level's predictions: class logits (N, CLASSES, H, W) and box distances (N, 4, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = nn.Sequential(separable(width, width), separable(width, width))
        self.boxes = nn.Sequential(separable(width, width), separable(width, width))
        self.classes_out = nn.Conv2d(width, CLASSES, 1)
        self.boxes_out = nn.Conv2d(width, 4, 1)
        nn.init.constant_(cast(Tensor, self.classes_out.bias), -4.6)  # a prior of 1 %
        nn.init.constant_(cast(Tensor, self.boxes_out.bias), 2.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, width, H, W) to logits and raw distances."""
        return self.classes_out(self.classes(x)), self.boxes_out(self.boxes(x))


class Detector(nn.Module):
    """The detector. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""

    def __init__(
        self, width: int = 64, stages: tuple[int, int, int, int] = (32, 64, 96, 160)
    ) -> None:
        super().__init__()
        c2, c3, c4, c5 = stages
        self.stem = nn.Sequential(conv(3, 16, 3, 2), conv(16, c2, 3, 2), Block(c2, c2))
        self.stage3 = nn.Sequential(Block(c2, c3, 2, widen=3), Block(c3, c3), Block(c3, c3))
        self.stage4 = nn.Sequential(Block(c3, c4, 2, widen=3), Block(c4, c4), Block(c4, c4))
        self.stage5 = nn.Sequential(Block(c4, c5, 2, widen=3), Block(c5, c5), Block(c5, c5))
        self.lateral3 = conv(c3, width, 1)
        self.lateral4 = conv(c4, width, 1)
        self.lateral5 = conv(c5, width, 1)
        self.smooth3 = separable(width, width)
        self.smooth4 = separable(width, width)
        self.down4 = separable(width, width, 2)
        self.down5 = separable(width, width, 2)
        self.heads = nn.ModuleList(Head(width) for _ in STRIDES)

    def raw(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per level, finest first: class logits (N, CLASSES, h, w), box distances (N, 4, h, w) to
        left, top, right, bottom before `softplus`, in strides.
        """
        levels = self.pyramid(self.stem(x))
        return [head(level) for head, level in zip(self.heads, levels, strict=True)]

    def pyramid(self, c2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stem's output to the features of each level (N, width, h, w), finest first."""
        c3 = self.stage3(c2)
        c4 = self.stage4(c3)
        c5 = self.stage5(c4)
        p5 = self.lateral5(c5)
        up = nn.functional.interpolate
        p4 = self.smooth4(self.lateral4(c4) + up(p5, scale_factor=2.0, mode="nearest"))
        p3 = self.smooth3(self.lateral3(c3) + up(p4, scale_factor=2.0, mode="nearest"))
        p4 = p4 + self.down4(p3)
        p5 = p5 + self.down5(p4)
        return p3, p4, p5

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, A, 4) x0, y0, x1, y1 in pixels of `x`, and scores (N, A, CLASSES) in [0, 1]."""
        boxes, scores = [], []
        for (logits, distances), stride in zip(self.raw(x), STRIDES, strict=True):
            boxes.append(decode(distances, stride))
            scores.append(logits.flatten(2).transpose(1, 2).sigmoid())
        return torch.cat(boxes, 1), torch.cat(scores, 1)


def decode(distances: Tensor, stride: int) -> Tensor:
    """Raw distances (N, 4, h, w) of one level to boxes (N, h * w, 4) in pixels."""
    height, width = distances.shape[2], distances.shape[3]
    y = (torch.arange(height, device=distances.device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=distances.device, dtype=torch.float32) + 0.5) * stride
    centre_y = y[:, None].expand(height, width)
    centre_x = x[None, :].expand(height, width)
    left, top, right, bottom = (nn.functional.softplus(distances.float()) * stride).unbind(1)
    corners = (centre_x - left, centre_y - top, centre_x + right, centre_y + bottom)
    return torch.stack(corners, -1).flatten(1, 2)


def small() -> nn.Module:
    """A detector of about half the width, untrained: the student of a distillation."""
    return Detector(width=32, stages=(16, 32, 48, 80)).eval()


def build() -> nn.Module:
    """The trained detector in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    detector = Detector()
    load_model(detector, WEIGHTS)
    return detector.eval()
