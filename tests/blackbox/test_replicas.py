"""`workload = "replicas"`: several processes at once, one per device, on sets of cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.blackbox.test_workers import until, workers
from tests.conftest import DECIDED, Project, said
from tests.squares import HEAD

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0

pytestmark = pytest.mark.skipif(CORES < 2, reason="two replicas need two cores")


TWO = """\
[[recipe]]
name     = "two"
runtime  = "moody"
workload = { name = "replicas", devices = 2, batch_size = 2, batches = 2 }
[recipe.budgets]
replica_throughput  = { min = "1 images/s" }
replica_latency_p99 = { max = "2 s" }
scaling_efficiency  = { min = "75%" }
peak_memory         = { max = "400 MB" }
"""


def suite(recipes: str) -> str:
    """A suite of the tiny model with these recipes."""
    return HEAD + recipes


def record(project: Project, name: str = "two") -> dict[str, Any]:
    """What the last session measured of a recipe."""
    (found,) = project.sessions()[-1]["suites"]
    return next(each for each in found["recipes"] if each["name"] == name)


HELD = """
[[recipe]]
name    = "held"
from    = "two"
runtime = { name = "moody", graph_optimization = "basic" }
[recipe.budgets]
scaling_efficiency  = { min = "75%" }
replica_throughput  = { min = "1 images/s" }
"""


@pytest.mark.slow
def test_a_budget_on_efficiency_is_red_where_replicas_wait_for_each_other(
    project: Project, moody: Callable[..., None]
) -> None:
    """Beside a reference whose replicas do not: a lock that one process at a time can have. Each is
    on a core of its own, and there are as many batches as were asked for. Inferences sleep, so that
    a neighbour on a core takes nothing from them.
    """
    project.write(suite(TWO + HELD))
    moody("waits_for_others", seconds="0.007")
    red = project.run(*DECIDED)
    assert project.verdicts() == {
        "two-replica_throughput": "PASS",
        "two-replica_latency_p99": "PASS",
        "two-scaling_efficiency": "PASS",
        "two-peak_memory": "PASS",
        "held-scaling_efficiency": "FAIL",
        "held-replica_throughput": "PASS",
    }
    said(red, "scaling_efficiency")
    found = record(project)
    first, second = found["runtime_facts"]["places"]
    assert first.startswith("core ")
    assert first != second
    launch = found["launches"][0]
    rounds = len(launch["rounds"])
    assert len(launch["values"]["scaling_efficiency"]) == rounds > 0
    assert len(launch["values"]["replica_latency"]) == rounds * 2 * 2
    assert launch["inference"] == []
    assert launch["peak_memory"] > 0


def test_more_devices_than_there_are_is_skipped_with_the_numbers(project: Project) -> None:
    """Cores of the host, and GPUs where the runtime needs one; other recipes go on."""
    many = TWO.replace("devices = 2", "devices = 512")
    gpu = many.replace('"two"', '"gpus"').replace('"moody"', '{ name = "tensorrt" }')
    gpu = gpu.replace(
        "[recipe.budgets]", 'steps = [{ tensorrt = "tensorrt_rtx" }]\n[recipe.budgets]'
    )
    plain = '\n\n[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
    project.write(suite(many + "\n\n" + gpu + plain))
    result = project.run("-rs", "-k", "two-replica_throughput or gpus-replica_throughput or plain")
    assert project.verdicts() == {
        "two-replica_throughput": "SKIPPED",
        "gpus-replica_throughput": "SKIPPED",
        "plain-measured": "PASS",
    }
    asked = f"it needs 512 cores (512 devices of 1), and {CORES} were found"
    said(result, asked, "it needs 512 GPUs, and 0 were found", "--perf-cores")


def test_a_replica_that_dies_ends_its_recipe_and_is_named(
    project: Project, moody: Callable[..., None]
) -> None:
    """With its own last words; other recipes go on."""
    plain = '\n[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
    project.write(suite(TWO + plain))
    moody("second_is_killed")
    result = project.run("-k", "two-replica_throughput or plain")
    assert project.verdicts() == {"two-replica_throughput": "ERROR", "plain-measured": "PASS"}
    said(result, "replica 1 (core", "died: it was killed (SIGKILL)")
    assert "these are its last words" in record(project)["failure"]["last_words"]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("second_hangs", "no answer for"),
        ("shares_a_core", "replicas 0 and 1 share a device"),
    ],
)
def test_replicas_that_hang_or_share_a_device_are_no_measurement(
    project: Project, moody: Callable[..., None], mode: str, words: str
) -> None:
    """Whoever hangs is not waited for; whoever is not on a device of its own has failed, too."""
    project.write(suite(TWO))
    moody(mode)
    result = project.run("-k", "two-replica_throughput", "--perf-timeout", "8")
    assert project.verdicts() == {"two-replica_throughput": "ERROR"}
    said(result, words)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
def test_replicas_end_with_a_session_that_is_killed(
    project: Project, moody: Callable[..., None]
) -> None:
    """Each of them, though their own parent is a child of a child of it."""
    project.write(suite(TWO))
    moody("second_hangs")
    command = [sys.executable, "-m", "pytest", "--perf", "--perf-wait", "300", "-k", "two-peak"]
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: len(workers(project)) >= 4, 60)  # a launch, an arm and two replicas
        process.kill()
        process.wait(30)
        until(lambda: not workers(project), 15)
    finally:
        process.kill()
