"""Loading: a turn is a stretch of batches, decoded and pre-processed by a data loader, and run.

What counts is how long the model waits. Between turns the loader's processes stand still, and the
batches that they had ready are used up before the clock starts: what was fetched while others were
measured is no one's gain.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import OptionsModel, data_source
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine.parent_death import die_with
from pytest_perfgate.machine.processes import MORE_SHARED, SHARED, free_shared_memory
from pytest_perfgate.metric import Better, Metric, Rule, by_name
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.units import Unit, show
from pytest_perfgate.workloads import Work, WorkContext, Workload

_LEAST_SHARE = 1e-6  # of time: what did not wait at all has no logarithm

_METRICS = by_name(
    Metric.rate(
        "loader_throughput",
        "Images per second through loader and model, median over stretches of batches: decoding, "
        "pre-process and inference. The loader's processes use the launch's own cores.",
        optional=True,
        headline=True,
    ),
    Metric(
        "wait_share",
        Unit.SCORE,
        Better.LOWER,
        Rule.LAUNCHES,
        True,
        "Share of the time that the model waits for its next batch, median over stretches of "
        "batches. At 1, loading takes all the time.",
        optional=True,
    ),
)


class Loader(Workload):
    """The workload of this file."""

    class Options(OptionsModel):
        """Options of torch's data loader, by its own names, and what is kept."""

        batch_size: int = Field(4, ge=1, description="images in a batch")
        num_workers: int = Field(
            0, ge=0, le=64, description="loading processes; 0: the model's process loads"
        )
        prefetch_factor: int = Field(
            2, ge=1, description="batches that each process loads in advance"
        )
        pin_memory: bool = Field(
            False, description="batches in page-locked memory, for copies to a GPU"
        )
        cache: bool = Field(
            False,
            description="decode all images when the arm loads, and share them among the processes",
        )
        data: str = Field(
            "validation", description="images to load: a split, or an import path of other data"
        )
        batches: int = Field(4, ge=1, description="batches in a stretch")

        @field_validator("data")
        @classmethod
        def _known(cls, value: str) -> str:
            return value if value == "validation" else data_source(value)

    name = "loader"
    columns = ("stretch_time", "wait_share", "loader_throughput")
    metrics = _METRICS
    requires = (registry.from_extra("torch", "torch"),)
    preload = ("torch", "torch.utils.data")

    def open(self, options: Any, context: WorkContext) -> _Work:
        """Starts the loader's processes, and then the session."""
        return _Work(options, context)


class _Work(Work):
    def __init__(self, options: Any, context: WorkContext) -> None:
        import torch

        if options.pin_memory and not torch.cuda.is_available():
            raise RuntimeFault(
                "pin_memory = true is set, but torch finds no CUDA device here",
                where="workload.pin_memory",
                next_step="leave `pin_memory` out, or run the recipe on a GPU",
            )
        data = context.data(options.data)
        self._options = options
        images: Any = _Decoded(data.images, keep=options.cache)  # a dataset by its methods
        if options.num_workers:
            _check_shared_memory(options, images, context.pipeline)
        loader: Any = torch.utils.data.DataLoader(
            images,
            batch_size=options.batch_size,
            sampler=_Forever(len(data.images)),
            num_workers=options.num_workers,
            prefetch_factor=options.prefetch_factor if options.num_workers else None,
            collate_fn=_Collate(context.pipeline),
            pin_memory=options.pin_memory,
            worker_init_fn=_DieWith(os.getpid()),  # they stand still: nothing else reaches them
            # Processes are started before the session has threads, which no fork would keep.
            multiprocessing_context="fork" if options.num_workers else None,
        )
        self._batches: Iterator[_Batch] = iter(loader)
        self._loaded = 0
        self._size, self._count = options.batch_size, len(data.images)
        judged = options.data == "validation"
        self._check = context.check if judged else None
        processes = {self._load().process for _ in range(max(1, 2 * options.num_workers))}
        self._refuse_others(processes)
        self._workers = [process.pid for process in multiprocessing.active_children()]
        self._signal(signal.SIGSTOP)
        atexit.register(self._signal, signal.SIGCONT)  # torch waits for them as a program ends
        self.session: InferenceSession = context.session()
        self.facts: dict[str, Any] = {
            **self.session.facts,
            "loading processes": len(processes - {os.getpid()}),
            "batch_size": options.batch_size,
            "decoded images kept": len(data.images) if options.cache else 0,
        }

    def _refuse_others(self, processes: set[int]) -> None:
        """Check that those load who were asked to."""
        others = processes - {os.getpid()}
        if bool(others) != bool(self._options.num_workers):
            raise RuntimeFault(
                f"num_workers = {self._options.num_workers} is set, but {len(others)} other "
                "processes loaded"
            )

    @override
    def sample(self, number: int) -> Sequence[float]:
        """A stretch of batches."""
        options, clock = self._options, time.perf_counter
        self._signal(signal.SIGCONT)
        for _ in range(options.num_workers * options.prefetch_factor):
            self.session.run(self._next())  # what was ready when the turn came
        waited, start = 0.0, clock()
        for _ in range(options.batches):
            before = clock()
            inputs = self._next()
            waited += clock() - before
            outputs = self.session.run(inputs)
        whole = clock() - start
        self._signal(signal.SIGSTOP)
        self._inspect(outputs)
        images = options.batches * options.batch_size
        return whole, max(waited / whole, _LEAST_SHARE), images / whole

    def _next(self) -> Inputs:
        return self._load().inputs.map(lambda tensor: tensor.numpy())

    def _load(self) -> _Batch:
        self._loaded += 1
        return next(self._batches)

    def _inspect(self, outputs: Sequence[Any]) -> None:
        """Check that the last batch's outputs are those that were evaluated."""
        if self._check is not None:
            first = (self._loaded - 1) * self._size
            shown = [(first + place) % self._count for place in range(self._size)]
            self._check.inspect_shown([self._check.position(index) for index in shown], outputs)

    def _signal(self, what: signal.Signals) -> None:
        for pid in self._workers:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):  # its end is the loader's to tell
                    os.kill(pid, what)


def _check_shared_memory(options: Any, images: _Decoded, pipeline: Any) -> None:
    """Checks that all batches under way fit into the memory that loading processes share with the
    model's: a process that finds none there is ended by SIGBUS, in the middle of a turn.

    Raises:
        RuntimeFault: they do not.
    """
    inputs, _ = pipeline.preprocess(
        [images[index % len(images)] for index in range(options.batch_size)]
    )
    # What is loaded ahead, and the batch that the model has.
    count = options.num_workers * options.prefetch_factor + 1
    size = sum(array.nbytes for array in inputs.arrays)
    needed, free = count * size, free_shared_memory()
    if free is not None and free < needed:
        raise RuntimeFault(
            f"{count} batches of {show(size, Unit.BYTES)} are under way at once, and "
            f"{SHARED} has {show(free, Unit.BYTES)} free",
            where="workload",
            valid=f"{show(needed, Unit.BYTES)} or more of shared memory",
            next_step=f"{MORE_SHARED}; or fewer: num_workers, prefetch_factor, batch_size",
        )


class _DieWith:
    """What each loading process does first."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __call__(self, number: int) -> None:  # noqa: ARG002 - torch's
        die_with(self._parent)


class _Decoded:
    """Decoded images by their numbers, uint8 (H, W, 3) each."""

    def __init__(self, images: Sequence[Any], *, keep: bool) -> None:
        import numpy as np

        self._images = [np.array(images[index]) for index in range(len(images))] if keep else images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        import numpy as np

        return np.asarray(self._images[index])


@dataclass
class _Batch:
    """A network's inputs, as tensors, and the process that made them."""

    inputs: Inputs
    process: int

    def pin_memory(self) -> _Batch:
        """The same in page-locked memory: torch calls it for `pin_memory = true`."""
        return _Batch(self.inputs.map(lambda tensor: tensor.pin_memory()), self.process)


class _Collate:
    """Images to a batch."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __call__(self, images: list[Any]) -> _Batch:
        import torch

        inputs, _ = self._pipeline.preprocess(images)
        return _Batch(inputs.map(torch.from_numpy), os.getpid())


class _Forever:
    """The numbers of all images in order, again and again."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from range(self._count)

    def __len__(self) -> int:
        return self._count
