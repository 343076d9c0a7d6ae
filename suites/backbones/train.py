"""How the classifiers of this suite are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from pytest_perfgate.steps.training import Course
from torch import Tensor, nn

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData


_SETTLING = 128  # images in a batch


def fit(
    module: nn.Module,
    data: ClassificationData,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    course: Course,
) -> nn.Module:
    """AdamW on cross entropy under a one-cycle rate; the same inputs give the same weights."""
    pixels = torch.from_numpy(np.stack([np.asarray(each) for each in data.images]))
    labels = torch.tensor([int(each) for each in data.labels])
    groups = course.parameter_groups(module, learning_rate)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=max(2, steps), pct_start=0.2
    )
    module.train()
    for step in course.steps(steps, module=module, optimizer=optimizer, schedule=schedule):
        rows = np.random.default_rng((seed, step)).choice(len(labels), batch_size, replace=False)
        rows = course.share(rows)
        images, wanted = course.place(pixels[rows], labels[rows])
        images = images.permute(0, 3, 1, 2).float() / 255.0
        with course.precision():
            loss = nn.functional.cross_entropy(module(images).float(), wanted)
            loss = course.loss(images, loss)
        course.minimize(loss, optimizer, clip=10.0)
        schedule.step()
    mixed = np.random.default_rng(seed).permutation(len(labels))
    return _settled(module, pixels[mixed], course)


@torch.no_grad()
def _settled(module: nn.Module, pixels: Tensor, course: Course) -> nn.Module:
    """Batch normalisation by the training images, not by a running mean: some of these networks
    keep one of a thousand steps, which this training is far from (Wu and Johnson 2021, "Rethinking
    'Batch' in BatchNorm"). The images come in no order: a batch of one class is like no other.
    """
    module.eval()
    layers = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    kept = [each.momentum for each in layers]
    for each in layers:
        each.reset_running_stats()
        each.momentum = None  # the plain mean over batches
        each.train()
    for batch in torch.split(pixels, _SETTLING):
        module(course.place(batch).permute(0, 3, 1, 2).float() / 255.0)
    for each, momentum in zip(layers, kept, strict=True):
        each.momentum = momentum
    return module.eval()
