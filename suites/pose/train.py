"""Trains the network for keypoints: `python -m suites.pose.train --help`.

Pictures are composed as they are asked for. The loss is the squared difference to a Gaussian around
each labelled keypoint, in which the few cells near it weigh more.
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


def train(
    module: nn.Module, composer: PoseComposer, steps: int, size: int, rate: float
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
        images, maps, labelled = batch(composer, size)
        value = loss(module(images), maps, labelled)
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
    parser = argparse.ArgumentParser(prog="python -m suites.pose.train", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=12, help="pictures in a step")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--seed", type=int, default=7, help="of weights and pictures")
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    from safetensors.torch import load_model, save_model

    network: nn.Module = HeatMaps()
    if arguments.resume:
        load_model(network, arguments.resume)
    composer = PoseComposer(TRAINING, arguments.seed)
    network = train(network, composer, arguments.steps, arguments.batch_size, arguments.rate)
    part = arguments.output.with_suffix(".part")
    save_model(network, str(part), force_contiguous=True)
    part.replace(arguments.output)
    print(f"weights: {arguments.output} ({math.ceil(arguments.output.stat().st_size / 1e3)} kB)")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
