"""Trains the segmenter of digits: `python -m suites.segments.train --help`.

Scenes are composed as they are asked for. The loss is the cross entropy of every pixel that is not
ignored, of logits enlarged to the size of the scene, as they are when they are evaluated.
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


def train(
    module: nn.Module, composer: MaskComposer, steps: int, size: int, side: int, rate: float
) -> nn.Module:
    """AdamW under a one-cycle rate; the weights are a running average of those visited."""
    smooth = copy.deepcopy(module).eval()
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(2, steps), pct_start=0.1
    )
    start, mean = time.monotonic(), 0.0
    for step in range(steps):
        images, masks = batch(composer, size, side)
        value = loss(module(images), masks)
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
            print(f"{passed:6.0f} s  step {step + 1}/{steps}  loss {mean:.3f}", flush=True)  # noqa: T201 - a program
    return smooth


def main() -> None:
    """Trains from nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.segments.train", description=main.__doc__
    )
    parser.add_argument("--steps", type=int, default=2500, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=8, help="scenes in a step")
    parser.add_argument("--side", type=int, default=SIDE, help="height and width of a scene")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--seed", type=int, default=7, help="of weights and scenes")
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    from safetensors.torch import load_model, save_model

    segmenter: nn.Module = Segmenter()
    if arguments.resume:
        load_model(segmenter, arguments.resume)
    composer = MaskComposer(TRAINING, arguments.seed)
    size, side = arguments.batch_size, arguments.side
    segmenter = train(segmenter, composer, arguments.steps, size, side, arguments.rate)
    part = arguments.output.with_suffix(".part")
    save_model(segmenter, str(part), force_contiguous=True)
    part.replace(arguments.output)
    print(f"weights: {arguments.output} ({math.ceil(arguments.output.stat().st_size / 1e3)} kB)")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
