"""Trains the classifier of clips: `python -m suites.clips.train --help`.

Clips are composed as they are asked for. The loss is the cross entropy of the scores after each
frame from the third on: one frame says nothing, and two say little.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

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
    parser = argparse.ArgumentParser(prog="python -m suites.clips.train", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, default=32, help="clips in a step")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with")
    parser.add_argument("--seed", type=int, default=7, help="of weights and clips")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    from safetensors.torch import save_model

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    module, composer = Recurrent().train(), ClipComposer(TRAINING, arguments.seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=arguments.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.rate, total_steps=arguments.steps, pct_start=0.1
    )
    start, mean = time.monotonic(), 0.0
    for step in range(arguments.steps):
        value = loss(module, *batch(composer, arguments.batch_size, arguments.seed + step))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean = value.item() if not step else 0.98 * mean + 0.02 * value.item()
        if (step + 1) % 100 == 0:
            text = f"step {step + 1}/{arguments.steps}  loss {mean:.3f}"
            print(f"{time.monotonic() - start:6.0f} s  {text}", flush=True)  # noqa: T201 - a program
    part = arguments.output.with_suffix(".part")
    save_model(module.eval(), str(part), force_contiguous=True)
    part.replace(arguments.output)
    print(f"weights: {arguments.output}")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
