"""A small network for keypoints: inverted residuals, a top-down pyramid, heat maps at a quarter of
the size.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from suites.digits.model import separable
from suites.pose.data import KEYPOINTS
from suites.segments.model import Segmenter

STRIDE = 4
WEIGHTS = Path(__file__).parent / "weights.safetensors"
_WIDTH = 40


class HeatMaps(Segmenter):
    """The network. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32. Out: a heat map
    for each keypoint, (N, K, H / 4, W / 4), 1 at its place.
    """

    def __init__(self) -> None:
        super().__init__(_WIDTH, (20, 36, 56, 80))
        self.head = nn.Sequential(separable(_WIDTH, _WIDTH), nn.Conv2d(_WIDTH, len(KEYPOINTS), 1))


def build() -> nn.Module:
    """The trained network in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    network = HeatMaps()
    load_model(network, WEIGHTS)
    return network.eval()
