"""Trainings of a tiny network by one process or by several; run as a program it is one of them:
`python -m tests.steps.rank_trainings FOLDER RANK SIZE`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.steps.distil import Distil
from pytest_perfgate.steps.finetune import Finetune
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_peers import Peers
from pytest_perfgate.steps.training_processes import RankDone
from torch import nn

from tests.steps.conftest import SIDE, context_in

STEPS, BATCH = 6, 8
TEACHING = {
    "logits": (("", ""),),
    "features": (("2", "2"),),
    "activation": "sigmoid",
    "temperature": 1.0,
    "alpha": 1.0,
}


def network(width: int = 6) -> Any:
    """A convolution with batch normalisation, and a head of three classes."""
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 4, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 3),
    ).eval()


def narrow() -> Any:
    """A student."""
    return network(4)


def images_of(rows: Any) -> Any:
    """An image for each row, brighter from row to row: halves of a batch have other statistics."""
    random = [np.random.default_rng(int(row)).random((3, SIDE, SIDE)) + row / 20 for row in rows]
    return torch.from_numpy(np.stack(random).astype(np.float32))


def fit(
    module: Any,
    _data: Any,
    *,
    course: Any,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    loss: str = "mean",
    die_at: int = -1,
) -> Any:
    """A trainer that divides its batch; `loss` is over images, or over those that count."""
    optimizer = torch.optim.SGD(
        course.parameter_groups(module, learning_rate), lr=learning_rate, momentum=0.9
    )
    module.train()
    for step in course.steps(steps, module=module, optimizer=optimizer):
        if step == die_at:
            raise KeyboardInterrupt
        order = np.random.default_rng((seed, step)).permutation(3 * batch_size)
        rows = course.share(np.sort(order[:batch_size]))  # dark images here, bright ones there
        images = course.place(images_of(rows))
        errors = (module(images) - 1).square().sum(1)
        if loss == "mean":
            value = errors.mean()
        else:
            counts = torch.from_numpy((rows > 8).astype(np.float32))
            value = (errors * counts).sum() / course.mean(counts.sum())
        course.minimize(course.loss(images, value), optimizer, clip=2.0)
    return module.eval()


def undivided(module: Any, _data: Any, *, course: Any, steps: int, **_: Any) -> Any:
    """Every process trains on the whole batch."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _step in course.steps(steps, module=module, optimizer=optimizer):
        course.minimize(course.loss(None, module(images_of(range(4))).mean()), optimizer)
    return module


def by_hand(module: Any, _data: Any, *, course: Any, steps: int, **_: Any) -> Any:
    """No gradient is averaged."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _step in course.steps(steps, module=module, optimizer=optimizer):
        course.loss(None, module(images_of(course.share(range(4)))).mean()).backward()
        optimizer.step()
    return module


def noisy(module: Any, data: Any, *, course: Any, steps: int, **options: Any) -> Any:
    """Weights get random numbers, which differ from process to process."""
    fit(module, data, course=course, steps=steps, **options)
    with torch.no_grad():
        module[0].weight.add_(torch.rand_like(module[0].weight))
    return module


def hidden(module: Any, _data: Any, *, course: Any, steps: int, **_: Any) -> Any:
    """The course is not given the module."""
    for _step in course.steps(steps):
        pass
    return module


def uneven(module: Any, _data: Any, *, course: Any, steps: int, **_: Any) -> Any:
    """Batches of five."""
    for _step in course.steps(steps, module=module):
        course.share(range(5))
    return module


class OwnNorm(nn.BatchNorm2d):
    """A layer whose statistics nobody can take over."""


def own_norm() -> Any:
    """The network with it."""
    module = network()
    module[1] = OwnNorm(6)
    return module


FINETUNE: dict[str, Any] = {"steps": STEPS, "learning_rate": 0.05, "batch_size": BATCH}
CASES: dict[str, tuple[Any, Any, Callable[..., Any], Callable[[], Any]]] = {
    "mean": (Finetune(), Finetune.Options(**FINETUNE), fit, network),
    "counted": (
        Finetune(),
        Finetune.Options(**FINETUNE, trainer_options={"loss": "counted"}),
        fit,
        network,
    ),
    "partial": (
        Finetune(),
        Finetune.Options(**FINETUNE, freeze=["0.*"], freeze_batch_norm_statistics=True),
        fit,
        network,
    ),
    "taught": (
        Distil(),
        Distil.Options(
            **FINETUNE, student="tests.steps.rank_trainings:narrow", images=4, **TEACHING
        ),
        fit,
        network,
    ),
    **{
        trainer.__name__: (Finetune(), Finetune.Options(**FINETUNE), trainer, network)
        for trainer in (undivided, by_hand, noisy, hidden, uneven)
    },
    "own_norm": (Finetune(), Finetune.Options(**FINETUNE), fit, own_norm),
}
"""Step, options, trainer and network of each training."""


def run(
    name: str, folder: Path, peers: Peers | None = None, checkpoints: Path | None = None
) -> dict[str, Any]:
    """The effect of a training, and the weights that it ended in, as one list."""
    step, options, trainer, make = CASES[name]
    if peers is not None:
        options = options.model_copy(update={"processes": peers.size})
    context = context_in(
        folder,
        trainer=trainer,
        peers=peers,
        model=lambda _: narrow(),
        checkpoints=None
        if checkpoints is None
        else Checkpoints(checkpoints, dict, lambda _: True, every=0.0),
    )
    applied = step.apply(Artifact(TORCH, module=make()), options, context)
    step.prove(applied.effect, options)
    module = applied.artifact.module
    assert {type(layer).__module__ for layer in module.modules()} <= {
        one.__module__ for one in map(type, (*network().modules(), OwnNorm(2)))
    }
    weights = torch.cat([value.flatten().double() for value in module.state_dict().values()])
    return {"effect": dict(applied.effect), "weights": weights.tolist()}


def main(folder: Path, rank: int, size: int) -> None:
    """All cases, one after the other; rank 0 writes what came of them."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in CASES:
        peers = Peers(rank, size, folder / f"{name}.rendezvous", lambda: None, lambda: None)
        try:
            results[name] = run(name, folder / f"{name}-{rank}", peers)
        except RankDone:
            continue
        except PerfgateError as error:
            results[name] = {"error": str(error)}
    (folder / f"{rank}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
