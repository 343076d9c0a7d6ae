"""Trains the detector of rotated digits: `python -m suites.oriented.train --help`.

Scenes are composed as they are asked for. Cells near the middle of a digit learn its box and its
class, the others that there is none (focal loss: Lin et al. 2017).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

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


def train(
    module: OrientedDetector, composer: TurnedComposer, steps: int, size: int, rate: float
) -> OrientedDetector:
    """AdamW under a one-cycle rate; the weights are a running average of those visited."""
    smooth = copy.deepcopy(module).eval()
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(2, steps), pct_start=0.1
    )
    start, mean = time.monotonic(), 0.0
    for step in range(steps):
        images, boxes, labels = batch(composer, size)
        value = loss(module.raw(images), boxes, labels)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(module.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        keep = min(0.995, (step + 1) / (step + 10))
        with torch.no_grad():
            pairs = zip(smooth.state_dict().values(), module.state_dict().values(), strict=True)
            for old, new in pairs:
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
                else:
                    old.copy_(new)
        mean = value.item() if not step else 0.98 * mean + 0.02 * value.item()
        if (step + 1) % 100 == 0:
            passed = time.monotonic() - start
            print(f"{passed:6.0f} s  step {step + 1}/{steps}  loss {mean:.4f}", flush=True)  # noqa: T201 - a program
    return smooth


def main() -> None:
    """Trains from nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.oriented.train", description=main.__doc__
    )
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=10, help="scenes in a step")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--seed", type=int, default=7, help="of weights and scenes")
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    from safetensors.torch import load_model, save_model

    network = OrientedDetector()
    if arguments.resume:
        load_model(network, arguments.resume)
    composer = TurnedComposer(TRAINING, arguments.seed)
    network = train(network, composer, arguments.steps, arguments.batch_size, arguments.rate)
    part = arguments.output.with_suffix(".part")
    save_model(network, str(part), force_contiguous=True)
    part.replace(arguments.output)
    print(f"weights: {arguments.output} ({math.ceil(arguments.output.stat().st_size / 1e3)} kB)")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
