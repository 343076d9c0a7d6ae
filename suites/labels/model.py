"""The detector of digits as a network of labels: which digits are in a picture, not where."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from suites.digits import model as digits

WEIGHTS = digits.WEIGHTS
"""Those of the detector."""


class Labels(nn.Module):
    """In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32. Out: logits (N, classes), of
    each class the highest of all places.
    """

    def __init__(self, detector: digits.Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits of the labels."""
        levels = [logits.amax((2, 3)) for logits, _ in self.detector.raw(x)]
        return torch.stack(levels).amax(0)


def build() -> nn.Module:
    """The trained network in eval mode."""
    from safetensors.torch import load_model

    detector = digits.Detector()
    load_model(detector, WEIGHTS)
    return Labels(detector).eval()
