"""How the small networks of these suites are trained: options, the loop, and the file of weights.

A suite's `train.py` says what a step's loss is. Networks that recipes fine-tune have trainers of
their own, with the plugin's `Course`.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)

_PROGRESS = 100  # steps from line to line


def parser(
    suite: str,
    description: str | None,
    weights: Path,
    *,
    steps: int,
    batch_size: int,
    rate: float,
    of: str = "scenes",
) -> argparse.ArgumentParser:
    """The command line of a suite's `train.py`, with the suite's defaults; `of` names what is
    trained on.
    """
    result = argparse.ArgumentParser(
        prog=f"python -m suites.{suite}.train", description=description
    )
    result.add_argument("--steps", type=int, default=steps, help="optimizer steps")
    result.add_argument("--batch-size", type=int, default=batch_size, help=f"{of} in a step")
    result.add_argument("--rate", type=float, default=rate, help="highest learning rate")
    result.add_argument("--threads", type=int, default=1, help="threads to train with")
    result.add_argument("--seed", type=int, default=7, help=f"of weights and {of}")
    result.add_argument("--resume", type=Path, help="weights to start from")
    result.add_argument("--output", type=Path, default=weights, help="where the weights go")
    return result


def start(make: Callable[[], Network], arguments: argparse.Namespace) -> Network:
    """The network to train: of the weights to resume, or of random ones by the seed."""
    from safetensors.torch import load_model

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    network = make()
    if arguments.resume:
        load_model(network, arguments.resume)
    return network


def train(
    network: nn.Module,
    loss: Callable[[int], Tensor],
    steps: int,
    rate: float,
    *,
    decay: float = 0.02,
    clip: float = 10.0,
    average: float | None = 0.995,
) -> None:
    """Trains `network` in place, with AdamW under a one-cycle rate, and leaves it in eval mode.

    Args:
        network: in the mode that it is trained in; parameters that need no gradient stay as they
            are.
        loss: gives the loss of a step by its number.
        steps: of the optimizer.
        rate: the highest learning rate.
        decay: of weights.
        clip: the largest norm of a step's gradients.
        average: how much of their running average the weights keep in a step at the most; the
            network ends with that average, with None as the last step leaves it.
    """
    smooth = copy.deepcopy(network)
    learned = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(2, steps), pct_start=0.1
    )
    begin, mean = time.monotonic(), 0.0
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(learned, clip)
        optimizer.step()
        schedule.step()
        if average is not None:
            _follow(smooth, network, min(average, (step + 1) / (step + 10)))
        mean = value.item() if not step else 0.98 * mean + 0.02 * value.item()
        if (step + 1) % _PROGRESS == 0:
            passed = time.monotonic() - begin
            print(f"{passed:6.0f} s  step {step + 1}/{steps}  loss {mean:.4f}", flush=True)  # noqa: T201 - a program
    if average is not None:
        network.load_state_dict(smooth.state_dict())
    network.eval()


@torch.no_grad()
def _follow(smooth: nn.Module, network: nn.Module, keep: float) -> None:
    """Moves averages towards a network's weights; whole numbers are copied."""
    pairs = zip(smooth.state_dict().values(), network.state_dict().values(), strict=True)
    for old, new in pairs:
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


def save(network: nn.Module, output: Path) -> None:
    """Writes weights whole or not at all."""
    from safetensors.torch import save_model

    part = output.with_suffix(".part")
    save_model(network, str(part), force_contiguous=True)
    part.replace(output)
    print(f"weights: {output} ({math.ceil(output.stat().st_size / 1e3)} kB)")  # noqa: T201 - a program
