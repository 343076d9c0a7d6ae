"""Trains the network for keypoints: `python -m suites.pose.train --help`.

Pictures are composed as they are asked for. The loss is the squared difference to a Gaussian around
each labelled keypoint, in which the few cells near it weigh more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from suites import training
from suites.pose.data import SIDE, TRAINING, PoseComposer
from suites.pose.model import STRIDE, WEIGHTS, HeatMaps

_SPREAD = 1.5
"""Cells of the map: the standard deviation of a keypoint's Gaussian."""

_NEAR = 30.0
"""Weight of the cell at a keypoint, with 1 for those far away."""


def batch(composer: PoseComposer, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images float32 (size, 3, SIDE, SIDE) in [0, 1], heat maps (size, K, SIDE / 4, SIDE / 4), and
    whether each keypoint is labelled, float32 (size, K, 1, 1).
    """
    pictures = [composer.posed() for _ in range(size)]
    images = torch.from_numpy(np.stack([one.image for one in pictures]))
    points = torch.from_numpy(np.stack([one.points for one in pictures])).float()
    cells = (torch.arange(SIDE // STRIDE) + 0.5) * STRIDE
    x = torch.exp(-((cells - points[..., 0:1]) ** 2) / (2 * (_SPREAD * STRIDE) ** 2))
    y = torch.exp(-((cells - points[..., 1:2]) ** 2) / (2 * (_SPREAD * STRIDE) ** 2))
    maps = y[..., :, None] * x[..., None, :]
    labelled = (points[..., 2] > 0).float()[..., None, None]
    return images.permute(0, 3, 1, 2).float() / 255.0, maps, labelled


def loss(output: Tensor, maps: Tensor, labelled: Tensor) -> Tensor:
    """Mean weighted squared difference of heat maps (N, K, h, w), of labelled keypoints alone."""
    weights = (1.0 + _NEAR * maps) * labelled
    return (weights * (output - maps) ** 2).sum() / weights.sum()


def main() -> None:
    """Trains from nothing."""
    parser = training.parser(
        "pose", main.__doc__, WEIGHTS, steps=2000, batch_size=12, rate=4e-3, of="pictures"
    )
    arguments = parser.parse_args()
    network = training.start(HeatMaps, arguments)
    composer = PoseComposer(TRAINING, arguments.seed)

    def value(_step: int) -> Tensor:
        images, *targets = batch(composer, arguments.batch_size)
        return loss(network(images), *targets)

    training.train(network, value, arguments.steps, arguments.rate)
    training.save(network, arguments.output)


if __name__ == "__main__":
    main()
