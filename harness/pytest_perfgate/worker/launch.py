"""The "launch" job: one fresh parent process whose forked arms take turns on the same cores.

The parent imports the frameworks once; the arms share its pages, its allocator settings and its
cores, so that what differs between them is what is measured. It imports nothing of the project:
each arm does so itself, at its own version of the code.

How arms take turns is told in `pytest_perfgate.worker.turns`.

The parent never opens a device, and forks no arm once it has: each arm opens it for itself.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Callable
from typing import Any

from pytest_perfgate.machine import gpu_sensors
from pytest_perfgate.machine.cpu_sensors import Sensors
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.runtimes import uuids_of
from pytest_perfgate.worker.arm import FINISH, STAGES, serve
from pytest_perfgate.worker.arm_process import (
    HeldArm,
    ask,
    end_arm,
    exec_arm,
    failing,
    fork_arm,
    hear_line,
    hear_ready,
)
from pytest_perfgate.worker.loading import preload, read_images
from pytest_perfgate.worker.protocol import Send
from pytest_perfgate.worker.turns import Turns

_LONGEST_WARM_UP = 5.0  # seconds until a device's clocks are steady

_NO_DEVICE = "the recipe ran on no NVIDIA GPU"


def launch(work: dict[str, Any], more: Callable[[], dict[str, Any]], send: Send) -> None:
    """Measures arms for some rounds. It is started ahead of its time, while another launch
    measures on other cores: `more` waits for the rest of its work, and until then the frameworks
    are imported and, where `ahead` says so, the arms loaded.

    Sends one "measured" or "arm_failed" per arm, and one "conditions". Keys of `work`: index,
    cores (list), preload, exec, arms, ahead, silence, logs. Of what `more` returns: blocks (lists
    of labels; an arm in none of them leaves), rounds (of a block), batches and energies (labels),
    turns, seconds, started, batch_size. Of an arm: label, kind, root, images (a file), python, and
    what `serve` asks for.
    """
    if work["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, work["cores"])
    orderly = _hand_over_in_order()
    if not work["exec"]:  # arms that are programs of their own import for themselves
        preload(work["preload"])
    order = random.Random(work["index"])  # noqa: S311 - an order of turns, nothing secret
    live: list[HeldArm] = []
    try:
        if not work["ahead"]:
            work = work | more()
            asked = _labels(work)
            work["arms"] = [arm for arm in work["arms"] if arm["label"] in asked]
        files = {arm["images"] for arm in work["arms"] if arm["images"]}
        images = {file: read_images(file) for file in files}
        # In an order of its own in every launch: whoever comes first may get the better memory.
        for arm in order.sample(work["arms"], len(work["arms"])):
            # One after the other: loading beside a neighbour would be measured with it.
            started = (
                exec_arm(arm, work) if work["exec"] else fork_arm(arm, images, work["logs"], live)
            )
            live.append(started)
            with failing(started, live, send):
                hear_ready(started, work["silence"])
                send({"type": "progress", "done": 0, "total": 0, "note": f"{arm['label']} loaded"})
        if work["ahead"]:
            work = work | more()
            asked = _labels(work)
            for each in [each for each in live if each.label not in asked]:
                live.remove(each)
                end_arm(each)
        turns = Turns(live, work, order, send)
        pids = [pid for each in live for pid in each.pids]
        uuids = [uuid for each in live for uuid in uuids_of(each.facts)]
        devices = gpu_sensors.watch(uuids, pids, work["cores"])
        devices.settle(turns.untimed, _LONGEST_WARM_UP)
        sensors = Sensors(work["cores"], pids, orderly=orderly)
        devices.start()
        spans = turns.visits(sensors, devices)
        seen = sensors.stop(work["index"])
        devices.stop()
        left_out = devices.left_out(spans)
        for each in live:
            each.leave_out(left_out)
        rounds = len({number for number, _, _ in spans})
        seen = seen.model_copy(update={"devices": devices.conditions(rounds, len(left_out))})
        send({"type": "conditions", "conditions": seen.model_dump(mode="json")})
        turns.batches()
        turns.energies(devices)
        for each in list(live):
            with failing(each, live, send):
                each.device_memory_process = _device_memory(each, devices)
                ask(each, FINISH)
                last = hear_line(each, work["silence"])
                each.peak_memory = last["peak_memory"]
                # An arm of another version of this program may not tell it.
                each.device_memory_allocator = last.get("device_memory")
        for each in live:
            send(_measured(each, work, devices))
    finally:
        for each in live:
            end_arm(each)


def _labels(work: dict[str, Any]) -> set[str]:
    return {label for block in work["blocks"] for label in block}


def _hand_over_in_order() -> bool:
    """Arranges that this process and its arms do not interrupt each other; whether it worked.

    By default the process that is woken by a write takes the core from the writer, which is then
    still to reach its own read: it does so in the middle of the next arm's time. A process of the
    kernel's batch class waits until the writer has gone to sleep (sched(7)).
    """
    if not hasattr(os, "SCHED_BATCH"):
        return False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    return os.sched_getscheduler(0) == os.SCHED_BATCH


def run_arm(work: dict[str, Any], answers: int) -> None:
    """The "arm" job: what `exec_arm` started, up to the end of its launch."""
    arm = work["arm"]
    preload(work["preload"])
    images = read_images(arm["images"]) if arm["images"] else []
    serve(arm, images, work["turns"], answers)


def _unmeasured(arm: HeldArm, devices: gpu_sensors.Devices) -> dict[str, str]:
    """Why metrics of a device have no value, by their names."""
    if not arm.on_device:
        why = f"{_NO_DEVICE}; {devices.problem}" if devices.problem else _NO_DEVICE
        return dict.fromkeys(("device_time_p50", "device_memory", "energy"), why)
    found = {}
    told = {**_columns(arm)}.get("device_time", ())
    if not told or any(map(math.isnan, told)):
        found["device_time_p50"] = "its runtime does not tell the time on the device"
    why = devices.problem or "NVML does not tell it of this device"
    if arm.device_memory_process is None and arm.device_memory_allocator is None:
        found["device_memory"] = why
    if devices.energy() is None:
        found["energy"] = why
    return found


def _device_memory(arm: HeldArm, devices: gpu_sensors.Devices) -> int | None:
    """Of all processes that the arm works in, None when it is not told of one of them."""
    found = [devices.peak(pid) for pid in arm.processes or (arm.pid,)]
    known = [each for each in found if each is not None]
    return sum(known) if len(known) == len(found) else None


def _sm_clock(arm: HeldArm, devices: gpu_sensors.Devices) -> float | None:
    """The mean over the arm's devices, None when it is not told of one of them."""
    found = [devices.sm_clock(uuid) for uuid in uuids_of(arm.facts)]
    known = [each for each in found if each is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None


def _columns(arm: HeldArm) -> dict[str, tuple[float, ...]]:
    """Each column's values, turn by turn; a name that stands several times has so many each."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(arm.columns):
        places.setdefault(name, []).append(index)
    return {
        name: tuple(float(f"{row[index]:.6g}") for row in arm.times for index in indices)
        for name, indices in places.items()
    }


def _measured(arm: HeldArm, work: dict[str, Any], devices: gpu_sensors.Devices) -> dict[str, Any]:
    columns = _columns(arm)
    preprocess, inference, postprocess, device = (columns.pop(each, ()) for each in STAGES)
    measured = Launch(
        index=work["index"],
        core=work["cores"][0] if work["cores"] else -1,
        started=work["started"],
        load_time=float(f"{arm.load_time:.6g}"),
        preprocess=preprocess,
        inference=inference,
        postprocess=postprocess,
        # What was not measured in every round was not measured.
        values={name: each for name, each in columns.items() if not any(map(math.isnan, each))},
        batches=tuple(float(f"{seconds:.6g}") for seconds in arm.batches),
        batch_size=work["batch_size"],
        rounds=tuple(arm.rounds),
        peak_memory=arm.peak_memory,
        device=() if any(map(math.isnan, device)) else device,
        device_memory_allocator=arm.device_memory_allocator,
        device_memory_process=arm.device_memory_process,
        sm_clock=_sm_clock(arm, devices),
        energies=tuple(float(f"{joules:.6g}") for joules in arm.energies),
    )
    return {
        "type": "measured",
        "arm": arm.label,
        "launch": measured.model_dump(mode="json"),
        "facts": arm.facts,
        "unmeasured": _unmeasured(arm, devices),
    }
