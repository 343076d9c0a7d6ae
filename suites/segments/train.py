"""Trains the segmenter of digits: `python -m suites.segments.train --help`.

Scenes are composed as they are asked for. The loss is the cross entropy of every pixel that is not
ignored, of logits enlarged to the size of the scene, as they are when they are evaluated.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from suites import training
from suites.segments.data import IGNORED, SIDE, TRAINING, MaskComposer
from suites.segments.model import CLASSES, WEIGHTS, Segmenter

_BACKGROUND = 0.3
"""Weight of the background: nineteen pixels of twenty are of it."""


def batch(composer: MaskComposer, size: int, side: int) -> tuple[Tensor, Tensor]:
    """Images float32 (size, 3, side, side) in [0, 1], and masks int64 (size, side, side)."""
    scenes = [composer.masked(side) for _ in range(size)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    masks = torch.from_numpy(np.stack([scene.mask for scene in scenes]))
    return images.permute(0, 3, 1, 2).float() / 255.0, masks.long()


def loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross entropy of logits (N, C, h, w) with masks (N, H, W)."""
    large = nn.functional.interpolate(logits, size=masks.shape[1:], mode="bilinear")
    weights = torch.ones(CLASSES)
    weights[0] = _BACKGROUND
    return nn.functional.cross_entropy(large, masks, weights, ignore_index=IGNORED)


def main() -> None:
    """Trains from nothing."""
    parser = training.parser("segments", main.__doc__, WEIGHTS, steps=2500, batch_size=8, rate=4e-3)
    parser.add_argument("--side", type=int, default=SIDE, help="height and width of a scene")
    arguments = parser.parse_args()
    network = training.start(Segmenter, arguments)
    composer = MaskComposer(TRAINING, arguments.seed)

    def value(_step: int) -> Tensor:
        images, masks = batch(composer, arguments.batch_size, arguments.side)
        return loss(network(images), masks)

    training.train(network, value, arguments.steps, arguments.rate)
    training.save(network, arguments.output)


if __name__ == "__main__":
    main()
