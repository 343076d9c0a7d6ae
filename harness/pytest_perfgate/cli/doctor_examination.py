"""`pytest-perfgate doctor`: how calm this machine is, what it can decide, and what would help.

It runs the launches that suites are measured with, with arms that are all the same: eight of the
yardstick's workload, in four pairs. What the two arms of a pair differ by is noise.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_perfgate.cli.doctor_advice import advice
from pytest_perfgate.cli.doctor_noise import (
    TOLERANCES,
    Answer,
    Noise,
    answer,
    is_calm,
    noise_of,
)
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import measuring_places, usable_cores
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.machine.fingerprint import Machine, this_machine
from pytest_perfgate.machine.host_setup import Busy, Neighbours, Surroundings, surroundings
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.machine.steadiness import mostly_unsteady
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.worker.protocol import (
    ArmFailed,
    ArmMeasured,
    ArmSpec,
    Failed,
    LaunchConditions,
    LaunchJob,
    LaunchPlan,
)

_PAIRS = 4
_BLOCKS = tuple((f"a{pair}", f"b{pair}") for pair in range(_PAIRS))
_ARMS = tuple(label for block in _BLOCKS for label in block)
_FEWEST = 2  # launches, however short the time
_SILENCE = 120.0  # seconds
_VERDICT_ARMS = 4  # a recipe, its reference, the reference's copy and the yardstick


class Examination(Frozen):
    """All that `pytest-perfgate doctor` found out, also its JSON file.

    Attributes:
        seconds: how long it measured.
        launch_seconds: what one launch of a recipe, its reference and the yardstick takes, for the
            yardstick's few milliseconds per inference.
        unsteady: that most launches were disturbed, and by what; "" when they were not.
        calm: whether a tolerance of 5 % is decided within 60 s, and most launches were steady.
    """

    version: int = 1
    machine: Machine
    surroundings: Surroundings
    seconds: float
    launch_seconds: float
    noise: Noise
    answers: tuple[Answer, ...]
    conditions: tuple[Conditions, ...]
    busy: tuple[Busy, ...]
    advice: tuple[str, ...]
    unsteady: str = ""
    calm: bool


def examine(seconds: float, wait: float, tell: Progress) -> Examination:
    """Measures this machine for about so many seconds.

    Raises:
        DeviceBusy: a session is measuring, and still is after `wait` seconds.
        PerfgateError: a launch could not be measured.
    """
    with (
        exclusive(None, wait, tell, option="--wait SECONDS"),
        tempfile.TemporaryDirectory(prefix="perfgate-doctor-") as folder,
        contextlib.ExitStack() as opened,
    ):
        cores = usable_cores()
        setup = surroundings(cores)
        neighbours = Neighbours()
        places = [place[0] for place in measuring_places(cores, 1)]
        taken = _Taken(opened.enter_context(Pool(1, Path(folder))), places, Path(folder))
        start = time.monotonic()
        while True:
            passed = time.monotonic() - start
            count = len(taken.walls)
            if count >= _FEWEST and passed + passed / count > seconds:
                break
            tell(f"launch {count + 1}, {passed:.0f} of {seconds:.0f} s")
            taken.launch(passed)
        passed = time.monotonic() - start
        busy = neighbours.busiest(passed)
    noise = noise_of(taken.launches)
    answers = tuple(answer(tolerance, noise.p50, taken.seconds) for tolerance in TOLERANCES)
    unsteady = mostly_unsteady(taken.conditions)
    return Examination(
        machine=this_machine(),
        surroundings=setup,
        seconds=round(passed, 1),
        launch_seconds=round(taken.seconds, 3),
        noise=noise,
        answers=answers,
        conditions=tuple(taken.conditions),
        busy=busy,
        advice=advice(setup, taken.conditions, busy, len(cores)),
        unsteady=unsteady,
        # Arms of 2 ms fit between what disturbs a longer inference, so noise alone is no proof.
        calm=is_calm(answers) and not unsteady,
    )


class _Taken:
    """The launches taken so far."""

    def __init__(self, pool: Pool, cores: Sequence[int], folder: Path) -> None:
        self._pool = pool
        self._cores = cores
        self._folder = folder
        self.launches: list[dict[str, Launch]] = []
        self.conditions: list[Conditions] = []
        self.walls: list[float] = []

    @property
    def seconds(self) -> float:
        """What a launch with a verdict's arms takes, the median."""
        return statistics.median(self.walls)

    def launch(self, started: float) -> None:
        """One more, on the next core."""
        count = len(self.walls)
        plan = LaunchPlan(
            blocks=_BLOCKS,
            rounds=Settings.rounds,
            batches=(),
            seconds=_SILENCE,
            started=round(started, 3),
        )
        launches: dict[str, Launch] = {}
        start = time.monotonic()
        loaded = 0.0
        self._pool.hold(self._job(count))
        events = self._pool.release(plan)
        if (
            min(len(self._cores), busy_cores()) > 1
        ):  # as in a session: the next one starts while this one loads
            self._pool.hold(self._job(count + 1))
        for _, event in events:
            if isinstance(event, ArmMeasured):
                launches[event.label] = event.launch
            elif isinstance(event, LaunchConditions):
                self.conditions.append(event.conditions)
            elif isinstance(event, ArmFailed):
                raise _broken(event.failure)
            elif isinstance(event, Failed):
                raise _broken(event)
            elif isinstance(event, Ended):
                if event.problem:
                    raise _broken(Failed(event.problem, event.next_step, event.last_words))
            else:
                loaded = loaded or time.monotonic() - start
        if launches.keys() != set(_ARMS):
            raise _broken(Failed("the worker exited without an answer"))
        turns = time.monotonic() - start - loaded
        self.walls.append(loaded + turns * _VERDICT_ARMS / len(_ARMS))
        self.launches.append(launches)

    def _job(self, count: int) -> Job:
        work = LaunchJob(
            index=count,
            cores=(self._cores[count % len(self._cores)],),
            preload=("numpy", "numpy.random", "pydantic"),
            separate=False,
            arms=tuple(ArmSpec(label, sys.executable) for label in _ARMS),
            ahead=count > 0,
            silence=_SILENCE,
            logs=self._folder,
        )
        return Job(f"launch {count}", work, self._folder, worker_env(1), _SILENCE * 1.5)


def _broken(failed: Failed) -> PerfgateError:
    words = f"\n{failed.last_words}" if failed.last_words else ""
    return PerfgateError(
        f"the machine could not be measured: {failed.problem}{words}", next_step=failed.next_step
    )
