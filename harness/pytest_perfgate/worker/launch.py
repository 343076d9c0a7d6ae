"""The "launch" job: one fresh parent process whose forked arms take turns on the same cores.

The parent imports the frameworks once; the arms share its pages, its allocator settings and its
cores, so that what differs between them is what is measured. It imports nothing of the project:
each arm does so itself, at its own version of the code.

How arms take turns: see `pytest_perfgate.worker.turns`.

The parent never opens a device, and forks no arm once it has: each arm opens it for itself.
"""

from __future__ import annotations

import gc
import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_perfgate import registry
from pytest_perfgate.machine import gpu_sensors
from pytest_perfgate.machine.cpu_sensors import Sensors
from pytest_perfgate.machine.scheduling import hand_over_in_order
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.runtimes import DEVICE_TIME_PROBLEM, uuids_of
from pytest_perfgate.worker.arm import FINISH, serve
from pytest_perfgate.worker.arm_process import (
    HeldArm,
    end_arm,
    failing,
    finish,
    hear_ready,
)
from pytest_perfgate.worker.loading import preload, read_images
from pytest_perfgate.worker.peaks import Images, measured_peaks, started
from pytest_perfgate.worker.protocol import (
    ArmJob,
    ArmMeasured,
    ArmSpec,
    LaunchConditions,
    LaunchJob,
    LaunchPlan,
    Send,
    WorkProgress,
)
from pytest_perfgate.worker.turns import Turns
from pytest_perfgate.worker.visits import STAGES

_LONGEST_WARM_UP = 5.0  # seconds until a device's clocks are steady

_NO_DEVICE = "the recipe ran on no NVIDIA GPU"
_NO_DEVICE_TIME = "its runtime does not report the time on the device"


def launch(job: LaunchJob, read_plan: Callable[[], LaunchPlan], send: Send) -> None:
    """Measures arms for some rounds.

    It is started ahead of its time, while another launch measures on other cores: `read_plan`
    waits for what is to be measured, and until then the frameworks are imported and, where the job
    says `ahead`, the arms loaded.

    Sends one `ArmMeasured` or `ArmFailed` per arm, and one `LaunchConditions`.
    """
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cores)
    orderly = hand_over_in_order()
    if not job.separate:  # arms that are programs of their own import for themselves
        preload(job.preload)
        registry.names(registry.RUNTIMES)  # reads what all installed packages register
        # What arms share is never garbage: they do not visit it when they collect theirs, and no
        # page of it is copied for the marks of a collection.
        gc.collect()
        gc.freeze()
    order = random.Random(job.index)  # noqa: S311 - an order of turns, nothing secret
    live: list[HeldArm] = []
    images = Images()
    try:
        if job.ahead:
            peaks = measured_peaks(job, job.arms, images, live, send)
            _load(job, peaks.left(job.arms), order, live, images, send)
            plan = read_plan()
        else:
            plan = read_plan()
            wanted = {label for block in plan.blocks for label in block}
            arms = [arm for arm in job.arms if arm.label in wanted]
            peaks = measured_peaks(job, arms, images, live, send)
            _load(job, peaks.left(arms), order, live, images, send)
        _dismiss(live, plan)
        devices = _take_turns(job, plan, order, live, send, orderly=orderly)
        for arm in list(live):
            with failing(arm, live, send):
                arm.device_memory_process = _device_memory(arm, devices)
                last = finish(arm, FINISH, job.silence)
                arm.resident = last.peak_memory
                arm.device_memory_allocator = last.device_memory
                arm.instruments = last.instruments
                arm.unmeasured, arm.repeated = last.unmeasured, last.repeated
                arm.rates = last.rates
                if last.server_memory is not None:
                    peaks.sizes[arm.label] = last.server_memory
        for arm in live:
            measured = _measured(arm, job, plan, devices)
            launch_of_arm = peaks.beside(measured.launch, arm)
            send(replace(measured, launch=launch_of_arm, resident=arm.resident))
    finally:
        for arm in live:
            end_arm(arm)


def _load(
    job: LaunchJob,
    arms: Sequence[ArmSpec],
    order: random.Random,
    live: list[HeldArm],
    images: Images,
    send: Send,
) -> None:
    """Starts the arms, one after the other, and waits for each."""
    # In an order of its own in every launch: whoever comes first may get the better memory.
    for spec in order.sample(arms, len(arms)):
        # One after the other: loading beside a neighbour would be measured with it.
        arm = started(spec, job, images, live)
        live.append(arm)
        with failing(arm, live, send):
            hear_ready(arm, job.silence)
            send(WorkProgress(0, 0, f"{arm.label} loaded"))


def _dismiss(live: list[HeldArm], plan: LaunchPlan) -> None:
    """Ends the arms that were loaded ahead and are in no block of the plan."""
    wanted = {label for block in plan.blocks for label in block}
    for arm in [arm for arm in live if arm.label not in wanted]:
        live.remove(arm)
        end_arm(arm)


def _take_turns(
    job: LaunchJob,
    plan: LaunchPlan,
    order: random.Random,
    live: list[HeldArm],
    send: Send,
    *,
    orderly: bool,
) -> gpu_sensors.Devices:
    """All turns of the arms, and what the machine did meanwhile."""
    turns = Turns(live, plan, job.silence, order, send, job.index)
    pids = [pid for arm in live for pid in arm.pids]
    uuids = [uuid for arm in live for uuid in uuids_of(arm.facts)]
    devices = gpu_sensors.watch(uuids, pids, job.cores)
    # Before the sensors start: a device that is still speeding up is no condition of the rounds.
    devices.settle(turns.untimed, _LONGEST_WARM_UP)
    sensors = Sensors(job.cores, pids, orderly=orderly)
    devices.start()
    spans = turns.visits(sensors, devices)
    conditions = sensors.stop(job.index)
    devices.stop()
    # Rounds in which a device was throttled are left out of all arms, to keep them paired.
    left_out = devices.left_out(spans)
    for arm in live:
        arm.leave_out(left_out)
    rounds = len({number for number, _, _ in spans})
    of_devices = devices.conditions(rounds, len(left_out))
    send(LaunchConditions(conditions.model_copy(update={"devices": of_devices})))
    # After the sensors have stopped: a batch is another load, and no part of the rounds.
    turns.batches()
    turns.energies(devices)
    return devices


def run_arm(job: ArmJob, answers: int) -> None:
    """The "arm" job: what `exec_arm` started, up to the end of its launch."""
    preload(job.preload)
    images = read_images(job.arm.work.images) if job.arm.work else []
    serve(job.arm, images, job.turns, answers)


def _unmeasured(arm: HeldArm, devices: gpu_sensors.Devices) -> dict[str, str]:
    """Why metrics of a device and of batches have no value, by their names."""
    reasons = {}
    if arm.fixed_batch not in {0, arm.batch_size}:
        reasons["throughput"] = (
            f"the artifact takes batches of {arm.fixed_batch}, and the suite's batch is "
            f"{arm.batch_size}"
        )
    if not arm.on_device:
        why = f"{_NO_DEVICE}; {devices.problem}" if devices.problem else _NO_DEVICE
        return reasons | dict.fromkeys(("device_time_p50", "device_memory", "energy"), why)
    problem = str(arm.facts.get(DEVICE_TIME_PROBLEM, ""))
    times = _columns(arm).get("device_time", ())
    if not times or any(map(math.isnan, times)):
        reasons["device_time_p50"] = _NO_DEVICE_TIME + (f": {problem}" if problem else "")
    why = devices.problem or "NVML does not report it for this device"
    if arm.device_memory_process is None and arm.device_memory_allocator is None:
        reasons["device_memory"] = f"{why}; nor does its runtime: {problem}" if problem else why
    if devices.energy() is None:
        reasons["energy"] = why
    return reasons


def _device_memory(arm: HeldArm, devices: gpu_sensors.Devices) -> int | None:
    """Of all processes that the arm works in, None when it is not told of one of them."""
    peaks = [devices.peak(pid) for pid in arm.processes or (arm.process.pid,)]
    known = [peak for peak in peaks if peak is not None]
    return sum(known) if len(known) == len(peaks) else None


def _sm_clock(arm: HeldArm, devices: gpu_sensors.Devices) -> float | None:
    """The mean over the arm's devices, None when it is not told of one of them."""
    clocks = [devices.sm_clock(uuid) for uuid in uuids_of(arm.facts)]
    known = [clock for clock in clocks if clock is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(clocks) else None


def _columns(arm: HeldArm) -> dict[str, tuple[float, ...]]:
    """Each column's values, turn by turn; a name that stands several times has so many each."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(arm.columns):
        places.setdefault(name, []).append(index)
    return {
        name: tuple(float(f"{row[index]:.6g}") for row in arm.times for index in indices)
        for name, indices in places.items()
    }


def _measured(
    arm: HeldArm, job: LaunchJob, plan: LaunchPlan, devices: gpu_sensors.Devices
) -> ArmMeasured:
    columns = _columns(arm)
    preprocess, inference, postprocess, device = (columns.pop(name, ()) for name in STAGES)
    measured = Launch(
        index=job.index,
        core=job.cores[0] if job.cores else -1,
        started=plan.started,
        load_time=float(f"{arm.load_time:.6g}"),
        preprocess=preprocess,
        inference=inference,
        postprocess=postprocess,
        pairs=tuple(tuple(float(f"{one:.6g}") for one in times) for times in arm.pairs),
        rates=arm.rates,
        # What was not measured in every round was not measured.
        values={name: row for name, row in columns.items() if not any(map(math.isnan, row))},
        batches=tuple(float(f"{seconds:.6g}") for seconds in arm.batches),
        batch_size=arm.batch_size,
        rounds=tuple(arm.rounds),
        device=() if any(map(math.isnan, device)) else device,
        device_memory_allocator=arm.device_memory_allocator,
        device_memory_process=arm.device_memory_process,
        sm_clock=_sm_clock(arm, devices),
        energies=tuple(float(f"{joules:.6g}") for joules in arm.energies),
    )
    missing = _unmeasured(arm, devices) | arm.unmeasured
    return ArmMeasured(
        arm.label, measured, arm.facts, missing, arm.instruments, repeated=arm.repeated
    )
