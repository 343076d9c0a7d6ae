"""A session and a pipeline that do nothing, and visits of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.tasks import Pipeline
from pytest_perfgate.worker import visits
from pytest_perfgate.worker.protocol import RecipeWork
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.images import Images
from pytest_perfgate.workloads.output_check import OutputCheck
from typing_extensions import override

SILENCE = 30.0
"""Seconds without an answer after which an arm counts as hung."""

IMAGE = np.zeros((2, 2, 3), np.uint8)
"""What the idle session is given; nothing looks at it."""


class Idle(InferenceSession, Pipeline):
    """A session and a pipeline that do nothing."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """The images, as they are."""
        return Inputs(images), None

    @override
    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """No outputs."""
        return ()

    @override
    def postprocess(self, outputs: Any, meta: Any) -> list[Any]:
        """No predictions."""
        return []


def idle_work(name: str, suite: Suite) -> RecipeWork:
    """What an arm of this benchmark works on: a visit of that name, in the project of `suite`."""
    nothing: Any = None  # an artifact is opened by the visit, and these visits open none
    return RecipeWork(suite, name, nothing, suite.root, Path(), SILENCE, Path())


class HarnessVisit(visits.RecipeVisit):
    """The harness's own visit, of a session and a pipeline that do nothing."""

    def __init__(self) -> None:
        visits.Visit.__init__(self)
        idle = Idle()
        context = WorkContext(
            session=lambda: idle,
            module=lambda: None,
            pipeline=idle,
            images=[IMAGE],
            data=lambda _: None,
            trainer=lambda: print,
            batch=1,
            threads=1,
            flush=lambda _: None,
        )
        self._work = Images().open(Images.Options(), context)
        self._check = OutputCheck([])


class BareVisit(HarnessVisit):
    """The least there is: two readings of the clock around the call."""

    def sample(self, number: int) -> Sequence[float]:  # noqa: ARG002 - one image
        """Its time as that of the inference."""
        run, inputs, clock = Idle().run, Inputs(IMAGE), time.perf_counter
        start = clock()
        run(inputs)
        return 0.0, clock() - start, 0.0


def bare_loop(count: int) -> list[float]:
    """The shortest way to time nothing, in a loop."""
    run, inputs, clock = Idle().run, Inputs(IMAGE), time.perf_counter
    found = []
    for _ in range(count):
        start = clock()
        run(inputs)
        found.append(clock() - start)
    return found
