"""Training: a turn is one step of the optimizer, on the next batch.

What the recipe is measured by is what it is built by as well: its chain ends on the same training,
for as many steps as are asked for, and accuracy is of what comes out. So a recipe that trains under
autocast is held to the speed of its steps, to its loss and to its accuracy beside float32.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.metric import Better, Metric, Rule, by_name
from pytest_perfgate.records.recipe import StepSpec
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps import training_device
from pytest_perfgate.steps.training import TRAINING_LOSS, Course, train
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.units import Unit
from pytest_perfgate.workloads import Work, WorkContext, Workload

_STEPS = 1_000_000  # of a training that is never finished: so many turns no session has
_SEED = 0

_TURNS = "Compared arms take turns at every step, on the same batches."

_METRICS = by_name(
    Metric.seconds(
        "step_time_p50",
        "Median time of one training step: batch, forward pass, loss, backward pass and optimizer. "
        + _TURNS,
        optional=True,
        headline=True,
    ),
    *(
        Metric.seconds(name, f"{meaning} {_TURNS}", optional=True)
        for name, meaning in (
            ("step_time_p95", "95th percentile of the time of one training step."),
            ("forward_time_p50", "Median time from the beginning of a step to its loss."),
            ("backward_time_p50", "Median time from the loss of a step to its end."),
        )
    ),
    Metric.rate(
        "training_throughput",
        f"Images of a batch divided by the time of its step, median. {_TURNS}",
        optional=True,
    ),
    Metric(
        TRAINING_LOSS,
        Unit.SCORE,
        Better.LOWER,
        Rule.EXACT,
        True,
        "Running mean of the loss over about the last 20 steps of the training that gives the "
        "recipe's artifact. The seed is fixed: on one machine, the same code gives the same value.",
        optional=True,
    ),
)


class Training(Workload):
    """The workload of this file."""

    class Options(TrainingOptions):
        """Options of the training, as `finetune` has them."""

        autocast: Literal["bfloat16", "float16"] | None = Field(
            None, description="type for torch.autocast; default: float32"
        )

        @field_validator("processes")
        @classmethod
        def _alone(cls, value: int) -> int:
            if value > 1:
                raise PydanticCustomError(
                    "one_process",
                    "the workload times the steps of one process",
                    {"expected": "1, or the step `finetune`, which trains with several"},
                )
            return value

    name = "training"
    orders = frozenset({False, True})
    columns = ("step_time", "forward_time", "backward_time", "training_throughput")
    metrics = _METRICS
    goal = "step_time_p50"
    accepts = frozenset({TORCH})
    requires = (registry.from_extra("torch", "torch"),)
    # Whatever optimizer a trainer makes, it imports torch._dynamo: a second and 100 MB of each arm.
    preload = ("torch", "torch._dynamo")

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """torch, and what the device needs."""
        return (*self.requires, *training_device.requirements(options.device))

    def adds(self, options: Any) -> tuple[StepSpec, ...]:
        """The training that accuracy and loss are of."""
        return (StepSpec("finetune", options.model_dump(mode="json")),)

    def open(self, options: Any, context: WorkContext) -> _Work:
        """Begins a training of the recipe's artifact, up to before its first step.

        Raises:
            RuntimeFault: the runtime is on a GPU, and the training would not be.
        """
        if context.gpu and options.device == training_device.CPU:
            raise RuntimeFault(
                "the recipe's runtime is on a GPU, and its training names the cpu",
                next_step='workload = { device = "cuda" }, or a runtime on the cpu',
            )
        return _Work(options, context)


class _Work(Work):
    """A trainer in a thread of its own, which waits for its turn at every step."""

    def __init__(self, options: Any, context: WorkContext) -> None:
        import torch

        torch.set_num_threads(context.threads)
        self._course = _TurnedCourse(options.autocast, options.device)
        self._error: BaseException | None = None
        module, data, trainer = context.module(), context.data(options.data), context.trainer()
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        shortened = options.model_copy(update={"steps": _STEPS})

        def run() -> None:
            torch.set_num_threads(context.threads)  # it is a setting of each thread
            try:
                train(trainer, module, data, shortened, _SEED, self._course)
            except BaseException as error:  # noqa: BLE001 - raised again in the arm's own thread
                self._error = error
            finally:
                self._course.ended.release()

        self._thread = threading.Thread(target=run, name="training", daemon=True)
        self._thread.start()
        self.facts: dict[str, Any] = {
            "trains in": options.autocast or "float32",
            "batch_size": options.batch_size,
            "device": options.device,
            "threads": context.threads,
        }

    @override
    def sample(self, number: int) -> Sequence[float]:
        """One step of the training."""
        self._course.turn.release()
        self._course.ended.acquire()
        if self._error is not None:
            raise self._error
        if not self._thread.is_alive():
            raise RuntimeFault("the trainer left before the end of its steps")
        whole, forward, images = self._course.took
        return whole, forward, whole - forward, images / whole


class _TurnedCourse(Course):
    """A course whose steps wait for a turn each."""

    def __init__(self, autocast: str | None, device: str) -> None:
        super().__init__(autocast=autocast, device=device)
        self.turn = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.took = (math.nan, math.nan, math.nan)
        self._at_loss = math.nan
        self._images = math.nan

    def steps(self, total: int, **state: Any) -> Iterator[int]:
        """See `Course.steps`; a step begins when its turn comes."""
        self.begin(state)
        wait = _waits(state.get("module"))
        for step in range(total):
            self.turn.acquire()
            self._at_loss = self._images = math.nan
            start = time.perf_counter()
            yield step
            wait()
            whole = time.perf_counter() - start
            self.done = step + 1
            self.took = (whole, self._at_loss - start, self._images)
            self.ended.release()

    def loss(self, images: Any, loss: Any) -> Any:
        """See `Course.loss`."""
        value = super().loss(images, loss)
        self._at_loss, self._images = time.perf_counter(), float(len(images))
        return value


def _waits(module: Any) -> Any:
    """Waits for the device that a module is on: a step goes on there after its call is back."""
    import torch

    first = next(module.parameters(), None) if module is not None else None
    if first is not None and first.is_cuda:
        return torch.cuda.synchronize
    return lambda: None
