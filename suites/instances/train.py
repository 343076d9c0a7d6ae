"""Trains the masks of the digits: `python -m suites.instances.train --help`.

The detector of `suites.digits` stays as it is, its boxes, scores and features. Prototypes and
coefficients are learned from the cross entropy of mask pixels within each digit's box, for the
anchors whose box fits it best (Bolya et al. 2019, "YOLACT").
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

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


def train(
    segmenter: InstanceSegmenter, composer: MaskComposer, steps: int, size: int, rate: float
) -> None:
    """AdamW under a one-cycle rate, of everything but the detector."""
    segmenter.train()
    segmenter.detector.eval().requires_grad_(requires_grad=False)
    learned = [one for one in segmenter.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(2, steps), pct_start=0.1
    )
    start, mean = time.monotonic(), 0.0
    for step in range(steps):
        scenes: list[MaskedScene] = []
        while len(scenes) < size:
            scene = composer.masked(SIDE)
            scenes += [scene] if scene.labels else []
        value = loss(segmenter, scenes)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(learned, 10.0)
        optimizer.step()
        schedule.step()
        mean = value.item() if not step else 0.98 * mean + 0.02 * value.item()
        if (step + 1) % 100 == 0:
            passed = time.monotonic() - start
            print(f"{passed:6.0f} s  step {step + 1}/{steps}  loss {mean:.3f}", flush=True)  # noqa: T201 - a program
    segmenter.eval()


def main() -> None:
    """Trains the masks from nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.instances.train", description=main.__doc__
    )
    parser.add_argument("--steps", type=int, default=1200, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=8, help="scenes in a step")
    parser.add_argument("--rate", type=float, default=6e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--seed", type=int, default=7, help="of weights and scenes")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    from safetensors.torch import load_model, save_model

    segmenter = InstanceSegmenter()
    load_model(segmenter.detector, DETECTOR)
    composer = MaskComposer(TRAINING, arguments.seed)
    train(segmenter, composer, arguments.steps, arguments.batch_size, arguments.rate)
    part = arguments.output.with_suffix(".part")
    save_model(segmenter, str(part))
    part.replace(arguments.output)
    print(f"weights: {arguments.output} ({math.ceil(arguments.output.stat().st_size / 1e3)} kB)")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
