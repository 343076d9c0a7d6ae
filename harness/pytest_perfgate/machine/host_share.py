"""A session's share of a host: the cores and the GPUs that are its own while it measures.

Whoever names no share has the whole host. Shares are made of physical cores: two threads of one
core would disturb each other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import nvml, visible_gpus
from pytest_perfgate.machine.cores import expanded, isolated, kinds, physical, usable_cores

CORES, GPUS, SPREAD = "--perf-cores", "--perf-gpus", "--perf-spread"
NONE = "none"

_DRIVER = Path("/dev/nvidiactl")


@dataclass(frozen=True)
class Gpu:
    """A GPU of a share."""

    uuid: str
    name: str


@dataclass(frozen=True)
class Share:
    """Some of a host.

    Attributes:
        cores: physical ones, each as the numbers of its threads.
        gpus: in NVML's order.
    """

    cores: tuple[tuple[int, ...], ...]
    gpus: tuple[Gpu, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """All its cores, as the kernel counts them."""
        return tuple(sorted(number for core in self.cores for number in core))

    def part(self, index: int, count: int) -> Share:
        """One of `count` equal parts; what cannot be divided is left over.

        Raises:
            PerfgateError: there is too little for so many, or its GPUs are not alike.
        """
        for what, has in (("physical cores", len(self.cores)), ("GPUs", len(self.gpus))):
            if has < count and (has or what != "GPUs"):
                raise PerfgateError(
                    f"{SPREAD}: there are {has} {what} for {count} workers",
                    valid=f"at most one worker for each of the {what}: -n {has}",
                )
        models = sorted({gpu.name for gpu in self.gpus})
        if len(models) > 1:
            raise PerfgateError(
                f"{SPREAD}: the GPUs differ ({', '.join(models)}), so measurements on them "
                "cannot be compared",
                next_step=f"name those of one model: {GPUS}",
            )
        cores, devices = len(self.cores) // count, len(self.gpus) // count
        return Share(
            self.cores[index * cores : (index + 1) * cores],
            self.gpus[index * devices : (index + 1) * devices],
        )


def read(cores: str, named: str) -> Share | None:
    """The share that the options' texts name, None for the whole host. GPUs without cores come with
    their part of the cores; cores without GPUs come with all of them.

    Raises:
        PerfgateError: it names what is not here.
    """
    if not cores and not named:
        return None
    every = _gpus()
    devices = _chosen(named, every) if named else every
    if cores:
        return Share(_among(_numbers(cores)), devices)
    groups = physical(usable_cores())
    assigned: list[tuple[int, ...]] = []
    for at in (every.index(device) for device in devices):
        assigned += groups[at * len(groups) // len(every) : (at + 1) * len(groups) // len(every)]
    if devices and not assigned:
        raise PerfgateError(
            f"{GPUS} {named}: {len(groups)} physical cores are too few to give each of "
            f"{len(every)} GPUs some",
            next_step=f"name them: {CORES}",
        )
    return Share(tuple(assigned) if devices else tuple(groups), devices)


def whole() -> Share:
    """All that this process may use."""
    return Share(tuple(physical(usable_cores())), _gpus())


def spread(every: Share, count: int, worker: str) -> Share | None:
    """The part of one of `count` workers of pytest-xdist ("gw0" is the first); None for their
    controller, which measures nothing.

    Raises:
        PerfgateError: there are no workers, or too little for so many.
    """
    if count < 2:
        raise PerfgateError(
            f"{SPREAD}: suites are spread over the workers of pytest-xdist; this run has {count}",
            valid="-n 2 or more",
        )
    # A worker that takes the place of one that crashed is counted on.
    part = _of_one_kind(every, count).part(int(worker.removeprefix("gw") or 0) % count, count)
    return part if worker else None


def _of_one_kind(every: Share, count: int) -> Share:
    """The share with the fastest cores alone that are enough for so many parts: what is measured on
    one kind of core says nothing of another.

    Raises:
        PerfgateError: no kind has enough.
    """
    groups = kinds([core[0] for core in every.cores])
    for kind in groups:
        if len(kind) >= count:
            return replace(every, cores=tuple(core for core in every.cores if core[0] in kind))
    if len(groups) > 1:
        most = max(map(len, groups))
        raise PerfgateError(
            f"{SPREAD}: {count} workers need as many cores of one kind, and there are {most}",
            valid=f"-n {most}",
        )
    return every


@contextlib.contextmanager
def kept(share: Share | None) -> Iterator[None]:
    """Keeps this process, and all that it starts, to a share while the block runs."""
    if share is None:
        yield
        return
    pins = hasattr(os, "sched_setaffinity")
    before, shown = usable_cores(), os.environ.get(visible_gpus.VISIBLE)
    if pins:
        os.sched_setaffinity(0, share.numbers)
    os.environ[visible_gpus.VISIBLE] = ",".join(gpu.uuid for gpu in share.gpus)
    try:
        yield
    finally:
        if pins:
            os.sched_setaffinity(0, before)
        if shown is None:
            del os.environ[visible_gpus.VISIBLE]
        else:
            os.environ[visible_gpus.VISIBLE] = shown


def _among(numbers: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    usable = usable_cores()
    foreign = sorted(set(numbers) - set(usable) - _isolated(numbers))
    if foreign:
        raise PerfgateError(
            f"{CORES}: this process may not run on core {foreign[0]}",
            valid=", ".join(map(str, sorted({*usable, *isolated()}))),
        )
    return tuple(physical(numbers))


def _isolated(numbers: Sequence[int]) -> set[int]:
    """Those of the cores that the kernel keeps for whoever asks (`isolcpus`), and lets us have: no
    process has them in its affinity by default.
    """
    allowed = set()
    before = os.sched_getaffinity(0)
    try:
        for number in isolated() & set(numbers):
            with contextlib.suppress(OSError):  # not in this container's cpuset
                os.sched_setaffinity(0, {number})
                allowed.add(number)
    finally:
        os.sched_setaffinity(0, before)
    return allowed


def _numbers(text: str) -> list[int]:
    try:
        return sorted(expanded(text))
    except ValueError:
        raise PerfgateError(f"{CORES} {text}: not a list of cores", valid="0-3,8") from None


def _chosen(text: str, every: Sequence[Gpu]) -> tuple[Gpu, ...]:
    if text.strip() == NONE:
        return ()
    chosen = []
    for name in (part.strip() for part in text.split(",")):
        if name.isdecimal():
            named = list(every[int(name) : int(name) + 1])
        else:
            named = [gpu for gpu in every if name and gpu.uuid.startswith(name)]
        if len(named) != 1 or named[0] in chosen:
            listed = [f"{number} ({gpu.uuid})" for number, gpu in enumerate(every)]
            raise PerfgateError(
                f"{GPUS} {text}: {name!r} names no GPU of this session",
                valid=", ".join([*listed, NONE]),
                next_step="nvidia-smi -L",
            )
        chosen += named
    return tuple(gpu for gpu in every if gpu in chosen)


def _gpus() -> tuple[Gpu, ...]:
    """Those that this process may use."""
    library, problem = nvml.connect()
    if library is None:
        if _DRIVER.exists():
            raise PerfgateError(
                f"the GPUs cannot be listed, so none can be assigned: {problem}",
                next_step=nvml.GET_IT,
            )
        return ()
    try:
        return tuple(Gpu(gpu.uuid, gpu.name) for gpu in visible_gpus.visible(library))
    finally:
        library.close()
