"""Trains the panoptic network of digits and paper: `python -m suites.panoptic.train --help`.

The trunk begins with the weights of `suites.segments`. Heat maps of the middles of digits are
learned by a focal loss (Zhou et al. 2019, "Objects as Points"), masks by cross entropy and the Dice
coefficient (Li et al. 2021, "Fully Convolutional Networks for Panoptic Segmentation"). Scenes are
composed as they are asked for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from suites import training
from suites.panoptic.data import TRAINING, PanopticScene, SheetComposer
from suites.panoptic.model import STUFF, THINGS, WEIGHTS, PanopticSegmenter, Raw, thing_masks
from suites.segments.data import SIDE
from suites.segments.model import STRIDE, Segmenter
from suites.segments.model import WEIGHTS as SEGMENTER

_SPREAD = 0.12
"""Standard deviation of a peak, in heights and widths of a digit."""


def loss(network: PanopticSegmenter, scenes: list[PanopticScene]) -> Tensor:
    """Of heat maps, masks of things, masks of stuff, and, as an auxiliary, which stuff is there."""
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    raw = network.raw(images.permute(0, 3, 1, 2).float() / 255.0)
    stuff = torch.einsum("sd,ndhw->nshw", network.stuff, raw.features)
    heat, things, kinds, presence = [], [], [], []
    for row, scene in enumerate(scenes):
        heat.append(_heat_loss(raw.heat[row], scene))
        numbers = torch.from_numpy(scene.map)
        counted = numbers > 0
        if scene.boxes:
            places = torch.tensor([[_place(box, raw.heat.shape[3]) for box in scene.boxes]])
            masks = _large(thing_masks(_of(raw, row), places)[0], scene)
            ink = torch.stack([numbers == index + 1 for index in range(len(scene.boxes))])
            things.append(_mask_loss(masks, ink.float(), counted))
        there = torch.zeros(STUFF)
        ground = torch.zeros(STUFF, *scene.map.shape)
        for index, kind in enumerate(scene.categories):
            if kind >= THINGS:
                there[kind - THINGS] = 1.0
                ground[kind - THINGS] = (numbers == index + 1).float()
        presence.append(there)
        kinds.append(_mask_loss(_large(stuff[row], scene), ground, counted))
    seen = nn.functional.binary_cross_entropy_with_logits(raw.presence, torch.stack(presence))
    total: Tensor = torch.stack(heat).mean() + torch.stack(kinds).mean() + 0.5 * seen
    return total + 2 * torch.stack(things).mean() if things else total


def _of(raw: Raw, row: int) -> Raw:
    """Of one image."""
    return Raw(*(part[row : row + 1] for part in raw))


def _large(masks: Tensor, scene: PanopticScene) -> Tensor:
    """Mask logits (K, h, w) as large as their scene."""
    return nn.functional.interpolate(masks[None], size=scene.map.shape, mode="bilinear")[0]


def _middle(box: tuple[int, int, int, int]) -> tuple[int, int]:
    """Row and column of the cell of a box's middle."""
    left, top, width, height = box
    return (2 * top + height) // (2 * STRIDE), (2 * left + width) // (2 * STRIDE)


def _place(box: tuple[int, int, int, int], width: int) -> int:
    row, column = _middle(box)
    return row * width + column


def _heat_loss(logits: Tensor, scene: PanopticScene) -> Tensor:
    """Focal loss of heat maps (THINGS, h, w), for each digit of a scene."""
    height, width = logits.shape[1:]
    target = torch.zeros_like(logits)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    for box, label in zip(scene.boxes, scene.categories, strict=False):
        row, column = _middle(box)
        spread = [max(0.6, _SPREAD * size / STRIDE) for size in (box[3], box[2])]
        far = ((rows - row) / spread[0]) ** 2 + ((columns - column) / spread[1]) ** 2
        target[label] = torch.maximum(target[label], torch.exp(-far / 2))
    chance = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    right = (1 - chance) ** 2 * chance.log()
    wrong = (1 - target) ** 4 * chance**2 * (1 - chance).log()
    lost: Tensor = -torch.where(target == 1, right, wrong).sum() / max(1, len(scene.boxes))
    return lost


def _mask_loss(logits: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy and Dice of masks (K, H, W), over the pixels that are of a segment; a mask
    without a pixel has the cross entropy alone.
    """
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    crossed = (entropy * counted).sum((1, 2)) / counted.sum()
    # Ink is a fiftieth of a scene: its pixels and the others weigh the same together.
    ink = (entropy * wanted).sum((1, 2)) / wanted.sum((1, 2)).clamp(min=1)
    chance = logits.sigmoid() * counted
    common = 2 * (chance * wanted).sum((1, 2)) + 1
    dice = 1 - common / (chance.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    there = (wanted.sum((1, 2)) > 0).float()
    return (crossed + there * (0.25 * ink + dice)).mean()


def network() -> PanopticSegmenter:
    """The network to train: the trunk of the segmenter, and new heads."""
    from safetensors.torch import load_model

    trunk = Segmenter()
    load_model(trunk, SEGMENTER)
    result = PanopticSegmenter()
    trunk.head = result.segmenter.head
    result.segmenter = trunk
    return result


def main() -> None:
    """Trains from the segmenter's trunk."""
    parser = training.parser("panoptic", main.__doc__, WEIGHTS, steps=1000, batch_size=8, rate=3e-3)
    arguments = parser.parse_args()
    segmenter = training.start(network, arguments)
    composer = SheetComposer(TRAINING, arguments.seed)

    def value(_step: int) -> Tensor:
        return loss(segmenter, [composer.panoptic(SIDE) for _ in range(arguments.batch_size)])

    training.train(segmenter, value, arguments.steps, arguments.rate)
    training.save(segmenter, arguments.output)


if __name__ == "__main__":
    main()
