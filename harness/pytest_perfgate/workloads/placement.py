"""What a recipe works on at once: places, each some cores, and a GPU where its runtime needs one.

Options of a workload may have `devices`, how many places it asks for; others ask for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import nvml, visible_gpus
from pytest_perfgate.machine.cores import isolated, usable_cores
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.records.recipe import Recipe
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import DEVICE_UUID, Runtime
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.steps import training_device
from pytest_perfgate.steps.training_options import TrainingOptions

_THREADS = Path("/proc/self/task")


def devices_of(recipe: Recipe) -> int:
    """How many places the recipe's workload asks for."""
    return int(recipe.workload.options.get("devices") or 1)


def at_endpoint(recipe: Recipe) -> bool:
    """Whether a server infers for the recipe."""
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    return runtime.endpoint


def on_gpu(recipe: Recipe) -> bool:
    """Whether the recipe's runtime needs an NVIDIA GPU, with the options it has."""
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    return GPU in runtime.requires_with(options)


def cores_of(recipe: Recipe, threads: int) -> int:
    """How many cores an arm of the recipe works on: `threads` at each place."""
    return threads * devices_of(recipe)


@dataclass(frozen=True)
class Enough(Requirement):
    """So many of something that a recipe works on at once."""

    required: int = 1
    available: int = 0
    why: str = ""

    @property
    def missing(self) -> bool:
        """Whether there are fewer."""
        return self.available < self.required

    @property
    def reason(self) -> str:
        """How many are asked for, and how many there are."""
        were = "was" if self.available == 1 else "were"
        text = f"it needs {self.required} {self.module}, and {self.available} {were} found"
        return f"{text} ({self.why})" if self.why else text


def needs(recipe: Recipe, threads: int) -> tuple[Requirement, ...]:
    """What must be here for the places of a recipe: a core for each thread, within the quota; and
    a GPU for each of several places. The same for the processes of a training in its chain.
    """
    count = devices_of(recipe)
    gpus = (_enough_gpus(count),) if count > 1 and on_gpu(recipe) else ()
    what = f"{count} devices of {threads}" if count > 1 else f"threads = {threads}"
    cores = _enough_cores(count * threads, what, pins=count > 1, spreads=threads > 1)
    return (*gpus, cores, *_training(recipe, threads))


def _training(recipe: Recipe, threads: int) -> Iterator[Enough]:
    """What the processes of each step that trains with several have for themselves."""
    for spec in recipe.chain:
        step = registry.find(registry.STEPS, spec.name)
        options = step.Options.model_validate(dict(spec.options))
        if not isinstance(options, TrainingOptions) or options.processes == 1:
            continue
        if options.device != training_device.CPU:
            yield _enough_gpus(options.processes)
        what = f"{spec.name}: {options.processes} processes of {threads}"
        yield _enough_cores(options.processes * threads, what, pins=False, spreads=True)


def _enough_gpus(count: int) -> Enough:
    known, why = visible_gpus.count()
    return Enough("GPUs", "nvidia-smi  # must list as many", count, known, why)


def _enough_cores(count: int, what: str, *, pins: bool, spreads: bool) -> Enough:
    """So many cores, for what needs them: processes are pinned to them (`pins`), the kernel spreads
    threads or processes over several (`spreads`), or both.
    """
    usable = len(usable_cores()) if not pins or hasattr(os, "sched_setaffinity") else 0
    cores, why = min(usable, busy_cores()), ""
    if cores < usable:
        why = f"the CPU quota of this container; it shows {usable}"
    elif spreads and isolated() & set(usable_cores()):
        cores, why = 1, "isolated cores (isolcpus): the kernel spreads no threads over them"
    elif not usable:
        why = "this system pins no process to cores"
    step = "use a machine with as many, or give the session more: --perf-cores, docker run --cpus"
    return Enough(f"cores ({what})", step, count, cores, why)


@dataclass(frozen=True)
class Place:
    """What one process has for itself: cores, and the UUID of a GPU or ""."""

    cores: tuple[int, ...]
    gpu: str = ""

    def __str__(self) -> str:
        cores = ", ".join(map(str, self.cores))
        on = f"core{'s' if len(self.cores) > 1 else ''} {cores}"
        return f"{self.gpu} with {on}" if self.gpu else on

    def enter(self) -> None:
        """Goes there with this process: before anything of a runtime has been opened."""
        os.sched_setaffinity(0, self.cores)
        if self.gpu:
            os.environ[visible_gpus.VISIBLE] = self.gpu


def take(count: int, threads: int, *, gpu: bool) -> list[Place]:
    """Places that share nothing, of this process's own cores and of the GPUs that it may use.

    Raises:
        RuntimeFault: there are fewer.
    """
    cores = usable_cores() if hasattr(os, "sched_setaffinity") else []
    devices: Sequence[str] = visible_gpus.uuids() if gpu else [""] * count
    for what, known, required in (
        ("GPUs", len(devices), count),
        ("cores", len(cores), count * threads),
    ):
        if known < required:
            raise RuntimeFault(f"it needs {required} {what}, and {known} were found")
    return [
        Place(tuple(cores[number * threads : (number + 1) * threads]), devices[number])
        for number in range(count)
    ]


def actual_place(facts: Mapping[str, Any]) -> Place:
    """Where this process really is: the cores that one of its threads may run on, and the GPU that
    its session tells of.
    """
    cores: set[int] = set()
    for thread in _THREADS.iterdir():
        try:
            cores |= os.sched_getaffinity(int(thread.name))
        except ProcessLookupError:
            continue  # it has ended
    return Place(tuple(sorted(cores)), str(facts.get(DEVICE_UUID, "")))


def prove_apart(given: Sequence[Place], places: Sequence[Place]) -> None:
    """Nothing, when each of several processes is at the place that it was given.

    Raises:
        RuntimeFault: two of them share one, or one is elsewhere.
    """
    for number, (place, real) in enumerate(zip(given, places, strict=True)):
        for other, beside in enumerate(places[:number]):
            same = (
                bool(real.gpu) and nvml.same(real.gpu, beside.gpu)
                if place.gpu
                else set(real.cores) & set(beside.cores)
            )
            if same:
                raise RuntimeFault(
                    f"replicas {other} and {number} share a device: they are on {beside} and on "
                    f"{real}",
                    valid=", ".join(map(str, given)),
                    next_step="the runtime moves them, or ignores the device that it is given",
                )
    for number, (place, real) in enumerate(zip(given, places, strict=True)):
        there = nvml.same(real.gpu, place.gpu) if place.gpu else set(real.cores) <= set(place.cores)
        if not there or bool(real.gpu) != bool(place.gpu):
            actual = str(real) if real.gpu or not place.gpu else "an unknown device"
            raise RuntimeFault(
                f"replica {number} belongs on {place}, but is on {actual}",
                next_step="the runtime moves it, or ignores the device that it is given",
            )
