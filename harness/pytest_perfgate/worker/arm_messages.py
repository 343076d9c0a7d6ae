"""What an arm says to the launch that started it: both are of the workers' side of the wall."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from pytest_perfgate.machine.pipes import Vocabulary
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.worker.protocol import Failed


@dataclass(frozen=True)
class ArmReady:
    """The first line of an arm: it has loaded what it measures.

    Attributes:
        load_time, pace: seconds; `pace` is its fastest turn before the rounds.
        columns: names of the values of a sample, in order.
        processes: ids of the processes that it works in besides its own.
        fixed_batch: the only batch that its artifact takes; 0: any.
        runs: timed turns of a launch, see `Workload.runs`.
        paired: requests of a turn that is compared, see `Work.paired`.
    """

    load_time: float
    facts: dict[str, Any]
    columns: tuple[str, ...]
    processes: tuple[int, ...] = ()
    pace: float = 0.0
    fixed_batch: int = 0
    runs: int = 0
    paired: int = 0


@dataclass(frozen=True)
class ArmFinished:
    """The last line of an arm.

    Attributes:
        peak_memory, device_memory: bytes; None: unknown.
        server_memory: peak of the server that its session started, bytes; None: it started none.
        instruments: tracers at work in it.
        unmeasured: metrics without a value, with the reason.
        repeated, rates: see `Work.repeated` and `Work.rates`.
        read: names of what it read, where it measures memory; None: not known.
    """

    peak_memory: int | None
    device_memory: int | None = None
    instruments: tuple[str, ...] = ()
    unmeasured: dict[str, str] = field(default_factory=dict)
    server_memory: int | None = None
    repeated: tuple[int, str] = (0, "")
    rates: tuple[RateRun, ...] = ()
    read: tuple[str, ...] | None = None


ArmMessage = ArmReady | ArmFinished | Failed


ARM_MESSAGES = Vocabulary[ArmMessage](get_args(ArmMessage))
