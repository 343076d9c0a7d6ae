"""How the classifier of text direction is trained further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pytest_perfgate.steps.training import Course
from torch import nn

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData


def fit(
    module: nn.Module,
    data: ClassificationData,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    course: Course,
    weight_decay: float = 0.02,
    schedule: Literal["one_cycle", "constant"] = "one_cycle",
) -> nn.Module:
    """AdamW on cross entropy; the same inputs give the same weights."""
    # As the suite reads images: BGR from -1 to 1.
    pixels = torch.from_numpy(np.stack([np.asarray(image)[..., ::-1] for image in data.images]))
    labels = torch.tensor([int(label) for label in data.labels])
    groups = course.parameter_groups(module, learning_rate)
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    rates: torch.optim.lr_scheduler.LRScheduler
    if schedule == "one_cycle":
        highest = [group["lr"] for group in groups]
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, highest, total_steps=max(2, steps), pct_start=0.2
        )
    else:
        rates = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    module.train()
    for step in course.steps(steps, module=module, optimizer=optimizer, rates=rates):
        rows = np.random.default_rng((seed, step)).choice(len(labels), batch_size, replace=False)
        rows = course.share(rows)
        images, wanted = course.place(pixels[rows], labels[rows])
        images = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with course.precision():
            loss = nn.functional.cross_entropy(module(images).float(), wanted)
            loss = course.loss(images, loss)
        course.minimize(loss, optimizer, clip=10.0)
        rates.step()
    return module.eval()
