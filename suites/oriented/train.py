"""Trains the detector of rotated digits: `python -m suites.oriented.train --help`.

Scenes are composed as they are asked for. Cells near the middle of a digit learn its box and its
class, the others that there is none (focal loss: Lin et al. 2017).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from suites import training
from suites.digits.model import CLASSES as DIGITS
from suites.oriented.data import SIDE, TRAINING, TurnedComposer
from suites.oriented.model import SIZE, STRIDE, WEIGHTS, OrientedDetector

_NEAR = 0.25
"""Of the shorter side: cells within this of the middle learn the box."""

_LEAST = 6.0
"""Pixels from the middle within which at least they do."""

_BOX = 5  # numbers of a box


def batch(composer: TurnedComposer, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images float32 (size, 3, SIDE, SIDE) in [0, 1]; of each cell the box as the network's raw
    output has it, with the angle in radians, (size, 5, h, w); and its class, int64 (size, h, w), -1
    for none.
    """
    cells = SIDE // STRIDE
    boxes = torch.zeros(size, _BOX, cells, cells)
    labels = torch.full((size, cells, cells), -1, dtype=torch.int64)
    middles = (torch.arange(cells) + 0.5) * STRIDE
    images = []
    for row in range(size):
        scene = composer.turned(SIDE)
        images.append(scene.image)
        for (x, y, width, height, angle), label in zip(scene.boxes, scene.labels, strict=True):
            across, down = x - middles[None, :], y - middles[:, None]
            near = torch.hypot(across, down) < max(_NEAR * min(width, height), _LEAST)
            labels[row][near] = int(label)
            target = (
                across.expand(cells, cells) / STRIDE,
                down.expand(cells, cells) / STRIDE,
                torch.full((cells, cells), math.log(width / (SIZE * STRIDE))),
                torch.full((cells, cells), math.log(height / (SIZE * STRIDE))),
                torch.full((cells, cells), float(angle)),
            )
            boxes[row][:, near] = torch.stack(target).float()[:, near]
    pixels = torch.from_numpy(np.stack(images))
    return pixels.permute(0, 3, 1, 2).float() / 255.0, boxes, labels


def loss(raw: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Focal loss of classes and absolute differences of boxes, over the cells of digits."""
    inside = labels >= 0
    count = max(1, int(inside.sum()))
    wanted = nn.functional.one_hot(labels.clamp(min=0), DIGITS).float() * inside[..., None]
    logits = raw[:, _BOX:].permute(0, 2, 3, 1)
    plain = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    wrong = (logits.sigmoid() - wanted).abs()
    balance = 0.25 * wanted + 0.75 * (1 - wanted)
    classes = (balance * wrong**2 * plain).sum() / count
    angle = (raw[:, 4:5].sigmoid() - 0.5) * math.pi
    given = torch.cat([raw[:, :4], angle], 1)
    weights = torch.tensor([0.5, 0.5, 1.5, 1.5, 2.0])[None, :, None, None]
    apart = ((given - boxes).abs() * weights).sum(1)[inside].sum() / count
    return 4.0 * classes + apart


def main() -> None:
    """Trains from nothing."""
    parser = training.parser(
        "oriented", main.__doc__, WEIGHTS, steps=2000, batch_size=10, rate=4e-3
    )
    arguments = parser.parse_args()
    network = training.start(OrientedDetector, arguments)
    composer = TurnedComposer(TRAINING, arguments.seed)

    def value(_step: int) -> Tensor:
        images, *targets = batch(composer, arguments.batch_size)
        return loss(network.raw(images), *targets)

    training.train(network, value, arguments.steps, arguments.rate)
    training.save(network, arguments.output)


if __name__ == "__main__":
    main()
