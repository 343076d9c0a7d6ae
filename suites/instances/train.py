"""Trains the masks of the digits: `python -m suites.instances.train --help`.

The detector of `suites.digits` stays as it is, its boxes, scores and features. Prototypes and
coefficients are learned from the cross entropy of mask pixels within each digit's box, for the
anchors whose box fits it best (Bolya et al. 2019, "YOLACT").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from suites import training
from suites.digits.model import CLASSES
from suites.digits.model import WEIGHTS as DETECTOR
from suites.instances.model import WEIGHTS, InstanceSegmenter
from suites.segments.data import SIDE, TRAINING, MaskComposer, MaskedScene

_ANCHORS = 3
"""Anchors of a digit that are trained."""


def loss(module: nn.Module, scenes: list[MaskedScene]) -> Tensor:
    """Mean cross entropy of the pixels in the boxes of all digits, each box weighing the same."""
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    tables, prototypes = module(images.permute(0, 3, 1, 2).float() / 255.0)
    parts = []
    for scene, table, planes in zip(scenes, tables, prototypes, strict=True):
        for index, label in enumerate(scene.labels):
            left, top, width, height = scene.boxes[index]
            box = torch.tensor([left + width / 2, top + height / 2, width, height])
            apart = (table[:4] - box[:, None]).abs().sum(0) / (width + height)
            best = (apart - table[4 + label]).detach().topk(_ANCHORS, largest=False).indices
            values = torch.einsum("ka,khw->ahw", table[4 + CLASSES :, best], planes)
            large = nn.functional.interpolate(values[None], size=scene.mask.shape, mode="bilinear")
            there = np.s_[top : top + height, left : left + width]
            ink = torch.from_numpy(scene.digit(index)[there].astype(np.float32))
            inside = large[0][:, there[0], there[1]]
            parts.append(
                nn.functional.binary_cross_entropy_with_logits(inside, ink.expand_as(inside))
            )
    return torch.stack(parts).mean()


def network() -> InstanceSegmenter:
    """The network to train: the detector as it is, which does not change, and new masks."""
    from safetensors.torch import load_model

    segmenter = InstanceSegmenter()
    load_model(segmenter.detector, DETECTOR)
    segmenter.detector.eval().requires_grad_(requires_grad=False)
    return segmenter


def batch(composer: MaskComposer, size: int) -> list[MaskedScene]:
    """So many scenes that have digits."""
    scenes: list[MaskedScene] = []
    while len(scenes) < size:
        scene = composer.masked(SIDE)
        scenes += [scene] if scene.labels else []
    return scenes


def main() -> None:
    """Trains the masks from nothing."""
    parser = training.parser(
        "instances", main.__doc__, WEIGHTS, steps=1200, batch_size=8, rate=6e-3
    )
    arguments = parser.parse_args()
    segmenter = training.start(network, arguments)
    composer = MaskComposer(TRAINING, arguments.seed)

    def value(_step: int) -> Tensor:
        return loss(segmenter, batch(composer, arguments.batch_size))

    training.train(segmenter, value, arguments.steps, arguments.rate, average=None)
    training.save(segmenter, arguments.output)


if __name__ == "__main__":
    main()
