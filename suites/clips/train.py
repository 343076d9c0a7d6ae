"""Trains the classifier of clips: `python -m suites.clips.train --help`.

Clips are composed as they are asked for. The loss is the cross entropy of the scores after each
frame from the third on: one frame says nothing, and two say little.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from suites import training
from suites.clips.data import CLASSES, FRAMES, TRAINING, ClipComposer
from suites.clips.model import FEATURES, GRID, HIDDEN, WEIGHTS, Recurrent

_FIRST = 2  # frame whose scores count


def batch(composer: ClipComposer, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Clips float32 (FRAMES, size, 3, SIDE, SIDE) in [0, 1], and labels int64 (size,)."""
    labels = np.random.default_rng(seed).integers(len(CLASSES), size=size)
    clips = torch.from_numpy(np.stack([composer.clip(int(label)) for label in labels], axis=1))
    return clips.permute(0, 1, 4, 2, 3).float() / 255.0, torch.from_numpy(labels)


def loss(module: nn.Module, clips: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the frames that count."""
    count, values = clips.shape[1], []
    before, hidden = torch.zeros(count, FEATURES, GRID, GRID), torch.zeros(count, HIDDEN)
    for frame in range(FRAMES):
        logits, before, hidden = module(clips[frame], before, hidden)
        if frame >= _FIRST:
            values.append(nn.functional.cross_entropy(logits, labels))
    return torch.stack(values).mean()


def main() -> None:
    """Trains from nothing."""
    parser = training.parser(
        "clips", main.__doc__, WEIGHTS, steps=1000, batch_size=32, rate=3e-3, of="clips"
    )
    arguments = parser.parse_args()
    network = training.start(Recurrent, arguments)
    composer = ClipComposer(TRAINING, arguments.seed)

    def value(step: int) -> Tensor:
        return loss(network, *batch(composer, arguments.batch_size, arguments.seed + step))

    training.train(
        network, value, arguments.steps, arguments.rate, decay=0.01, clip=1.0, average=None
    )
    training.save(network, arguments.output)


if __name__ == "__main__":
    main()
