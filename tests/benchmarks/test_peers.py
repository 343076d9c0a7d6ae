"""The peers' answers are read as they were given; what is no answer is none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from benchmarks import peers, workload

# What pytest-benchmark 5.3.1 wrote, tables and traceback left out.
COMPARED = "Comparing against benchmarks from: Linux-CPython-3.11-64bit/0001_baseline.json\n"
REGRESSED = (
    COMPARED
    + """
----------------------------------------------------------------------------------------------
Performance has regressed:
	test_inference (0001_baselin) - \
Field 'median' has failed PercentageRegressionCheck: 5.665179595 > 5.000000000
----------------------------------------------------------------------------------------------
Traceback (most recent call last):
    raise PerformanceRegression('Performance has regressed.')
pytest_benchmark.session.PerformanceRegression: Performance has regressed.
"""
)

# A cell of what benchmatrix 1.2.1 wrote, its evidence left out.
CELL: dict[str, Any] = {
    "baseline_value": 0.0116900667927167,
    "candidate_value": 0.012511457598463838,
    "case_name": "image",
    "direction": "lower_is_better",
    "implementation_name": "detector",
    "improvement_high_percent": 27.645562486266584,
    "improvement_low_percent": -24.539517222976627,
    "improvement_percent": -7.026399594730215,
    "metric_name": "single_call_latency",
    "ratio": 1.0702639959473021,
    "reason": "The adjusted confidence interval crosses a boundary at \u00b12.00%.",
    "regression": "inconclusive",
    "statistic": "mean",
    "status": "matched",
    "threshold_percent": 2.0,
}


def ended(code: int, out: str = "", err: str = "") -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    return subprocess.CompletedProcess(["peer"], code, out, err)


def report(*answers: str) -> str:
    """A report of benchmatrix with one cell per answer."""
    cells = [{**CELL, "regression": answer} for answer in answers]
    return json.dumps({"schema_version": 3, "passed": False, "comparisons": cells})


def test_a_regression_is_a_fail_and_silence_is_a_pass() -> None:
    """pytest-benchmark has two answers."""
    assert peers.stored_answer(ended(1, err=REGRESSED), 5) == "FAIL"
    assert peers.stored_answer(ended(0, "1 passed in 1.33s\n", COMPARED), 5) == "PASS"


@pytest.mark.parametrize(
    "done",
    [
        ended(1, "1 failed in 0.10s\n", COMPARED),  # the test itself
        ended(0, "1 passed in 1.33s\n"),  # nothing to compare with
        ended(4, err="ERROR: usage: pytest [options]\n"),
        ended(0, err=REGRESSED),
    ],
)
def test_a_run_that_compared_nothing_is_no_answer(done: subprocess.CompletedProcess[str]) -> None:
    """A peer is never said to pass what it did not look at; its words are shown."""
    with pytest.raises(peers.PeerFailed, match=f"exit code {done.returncode}"):
        peers.stored_answer(done, 5)


def test_another_limit_is_read_from_the_two_files() -> None:
    """By the peer's own check, on the medians."""
    stored, now = (
        {"benchmarks": [{"stats": {"median": median, "mean": 1.0}}]} for median in (0.010, 0.0104)
    )
    assert peers.file_answer(stored, now, 2) == "FAIL"
    assert peers.file_answer(stored, now, 5) == "PASS"


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (["inconclusive"], "INCONCLUSIVE"),
        (["unchanged"], "PASS"),
        (["improved"], "PASS"),
        (["unchanged", "regressed", "inconclusive"], "FAIL"),
        (["unchanged", "inconclusive"], "INCONCLUSIVE"),
    ],
)
def test_the_worst_cell_is_the_answer(cells: list[str], answer: str) -> None:
    """The peer answers per cell of its matrix."""
    assert peers.paired_answer(ended(0, report(*cells))) == answer


@pytest.mark.parametrize(
    "out", ["", "no JSON", "[]", report(), report("not_comparable"), '{"comparisons": null}']
)
def test_a_report_without_comparable_cells_is_no_answer(out: str) -> None:
    """Nothing compared is not a pass."""
    with pytest.raises(peers.PeerFailed, match="gave no answer"):
        peers.paired_answer(ended(2, out, "its last words"))


def test_thresholds_are_whole_percents() -> None:
    """pytest-benchmark takes no others."""
    assert [peers.whole_percent(share) for share in (0.0, 0.02, 0.05, 0.07, 0.29)] == [
        0,
        2,
        5,
        7,
        29,
    ]
    for wrong in (0.025, -0.05):
        with pytest.raises(ValueError, match="whole percents"):
            peers.whole_percent(wrong)


def test_a_missing_benchmatrix_says_how_to_install_it() -> None:
    """Before anything is measured; an interpreter that does not run says that."""
    with pytest.raises(peers.PeerFailed, match=r"does not run: No such file"):
        peers.require_benchmatrix("/nowhere/python")
    with pytest.raises(peers.PeerFailed, match=r"pip install 'pytest-perfgate\[bench\]'"):
        peers.require_benchmatrix("false")


def test_arguments() -> None:
    """Everything by default; --quick is one question."""
    requested = peers.arguments([])
    assert requested.factor == [0.0, 0.02, 0.05, 0.10, 0.20]
    assert requested.benchmatrix == sys.executable
    quick = peers.arguments(["--quick", "--peers", "pytest-benchmark", "--threshold", "0.05"])
    assert (quick.workload, quick.factor, quick.threshold) == (["onnx"], [0.10], [0.05])
    assert quick.peers == ["pytest-benchmark"]


def test_the_generated_tests_are_python() -> None:
    """For paths and metrics of any spelling."""
    cache = workload.ROOT / "it's a \\folder"
    compile(peers._pytest_benchmark_test("onnx", 0.05, cache), "test", "exec")
    for metrics in ((), peers.LATENCY, ("single_call_latency", "tail_latency")):
        compile(peers._benchmatrix_test("torch", 0.05, cache, metrics), "test", "exec")


def test_a_slow_down_is_proportional_to_the_call_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits until 1 + factor times the duration has passed, however long that was."""
    now = 100.0
    work = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    def run() -> None:
        nonlocal now
        now += work

    monkeypatch.setattr(time, "perf_counter", clock)
    slower, same = workload.slowed(run, 0.5), workload.slowed(run, 0.0)
    for work in (1.0, 3.0):
        start = now
        slower()
        assert now - start == pytest.approx(1.5 * work, abs=0.004)
        start = now
        same()
        assert now - start == pytest.approx(work, abs=0.004)
    with pytest.raises(ValueError, match="0 or more"):
        workload.slowed(run, -0.1)
