"""How many launches a suite gets: the time is a limit, and scores and sizes need none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.session import suite_launches
from pytest_perfgate.session.suite_judge import MEASURED
from pytest_perfgate.session.suite_launches import SuiteLaunches
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.verdicts.evidence import Risk

from tests.session.test_arms import arms, open_verdict


class Launching:
    """In place of worker processes: each launch takes so many seconds of a clock of its own, and
    leaves every verdict open.
    """

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.clock = 0.0
        self.batches: list[Sequence[str]] = []
        self.labels = ["fast", "fp32", "fast@base", "fp32@copy"]

    def launch(self, blocks: Any, note: str, *, batches: Sequence[str], **_: Any) -> None:
        """One launch."""
        assert blocks
        assert note
        self.clock += self.takes
        self.batches.append(batches)

    def alive(self, labels: Sequence[str]) -> list[str]:
        """All of them."""
        return [label for label in labels if label in self.labels]

    def seconds_per_inference(self, label: str) -> float:
        """A thousandth."""
        assert label
        return 0.001


class Undecided:
    """A judge that never knows."""

    pace: float | None = None
    searched = False
    doubted = False

    def discarded(self) -> frozenset[int]:
        """No launch."""
        return frozenset()

    def verdicts(self) -> list[Any]:
        """One that is open."""
        return [open_verdict("fast", "speedup")]


def launched(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    metrics: list[str],
    *,
    takes: float = 60.0,
    seconds: float = 2.0,
    searched: bool = False,
    **more: Any,
) -> tuple[Launching, list[str]]:
    """What a suite's launches came to, and what was said before them."""
    bench: Any = Launching(takes)
    judge: Any = Undecided()
    judge.searched = searched
    said: list[str] = []
    monkeypatch.setattr(suite_launches.time, "monotonic", lambda: bench.clock)
    launches = SuiteLaunches(
        "suite",
        {"fast": metrics},
        metrics_of("detection"),
        arms(folder, {"fast": metrics}, base=True),
        bench,
        judge,
        settings=replace(for_command(folder, "", seconds=seconds), **more),
        risk=Risk(0.01),
        say=said.append,
    )
    launches.announce()
    assert [verdict.status for verdict in launches.run()] == [Status.INCONCLUSIVE]
    return bench, said


@pytest.mark.parametrize(
    ("takes", "seconds", "launches"),
    [
        (60.0, 2.0, 1),  # these two seconds were once 258
        (50.0, 120.0, 3),
        (30.0, 120.0, 4),
        (10.0, 65.0, 6),  # one more would not fit, and verdicts were looked at
    ],
)
@pytest.mark.parametrize("update", [False, True])
def test_no_launch_begins_after_the_time_is_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    takes: float,
    seconds: float,
    launches: int,
    update: bool,
) -> None:
    """However few there were, and whether baselines are written: the limit plus one launch."""
    bench, _ = launched(
        tmp_path, monkeypatch, ["latency_p50"], takes=takes, seconds=seconds, update=update
    )
    assert len(bench.batches) == launches + (update and takes == 10.0)
    assert bench.clock < seconds + takes


def test_a_time_that_decides_nothing_is_said_before_and_after_the_first_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time that would do."""
    _, said = launched(tmp_path, monkeypatch, ["latency_p50"], takes=60.0, seconds=2.0)
    assert "too short to decide a budget on times: --perf-seconds=" in said[-1]
    _, said = launched(tmp_path, monkeypatch, ["latency_p50"], takes=60.0, seconds=240.0)
    assert "too short to prove one broken: --perf-seconds=" in said[-1]


@pytest.mark.parametrize(
    ("metrics", "some"),
    [
        (["map"], False),
        (["map50", "artifact_size", "load_time_cold", "parity", "memory_growth"], False),
        (["map", "peak_memory"], True),
        ([MEASURED], True),
    ],
)
@pytest.mark.parametrize("update", [False, True])
def test_scores_and_sizes_alone_start_no_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: list[str], some: bool, update: bool
) -> None:
    """Nor are any announced; a recipe without budgets is there to be measured."""
    bench, said = launched(tmp_path, monkeypatch, metrics, update=update)
    assert bool(bench.batches) is bool(said) is some


def test_what_a_search_chose_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its budgets are on."""
    bench, _ = launched(tmp_path, monkeypatch, ["map"], searched=True)
    assert bench.batches


def test_the_base_runs_batches_where_the_recipe_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peak of memory with a batch stands beside one with a batch; after two launches neither
    runs any for a budget on time alone.
    """
    bench, _ = launched(tmp_path, monkeypatch, ["latency_p50"], takes=1.0, seconds=10.0)
    for labels in bench.batches[:2]:
        assert {"fast", "fast@base"} <= set(labels)
    assert not any(bench.batches[2:])


class Undecidable(Undecided):
    """A judge for whom a time is decided after some launches, and a budget on memory never."""

    def __init__(self, launching: Any, time_takes: int, memory_needs: int | None) -> None:
        self.launching, self.time_takes, self.memory_needs = launching, time_takes, memory_needs

    def verdicts(self) -> list[Any]:
        """Of the time, while it is open, and of the memory."""
        count = len(self.launching.batches)
        limit = open_verdict("fast", "growth").limits[0]
        limit = limit.model_copy(update={"sample": count, "possible": self.memory_needs})
        memory = open_verdict("fast", "growth").model_copy(
            update={"metric": "peak_memory", "limits": (limit,)}
        )
        if count < self.time_takes:
            return [memory, open_verdict("fast", "speedup")]
        return [memory]


@pytest.mark.parametrize(
    ("time_takes", "memory_needs", "launches"),
    [
        (4, None, 4),  # no number of launches decides it
        (6, 40, 6),  # as good as none
        (4, 9, 12),  # within those that a time takes to turn red, and a half more
    ],
)
def test_an_undecidable_budget_on_memory_ends_with_the_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    time_takes: int,
    memory_needs: int | None,
    launches: int,
) -> None:
    """It adds launches where they are likely to decide it, as many as times need, and no more."""
    bench: Any = Launching(1.0)
    judge: Any = Undecidable(bench, time_takes, memory_needs)
    metrics = ["latency_p50", "peak_memory"]
    monkeypatch.setattr(suite_launches.time, "monotonic", lambda: bench.clock)
    SuiteLaunches(
        "suite",
        {"fast": metrics},
        metrics_of("detection"),
        arms(tmp_path, {"fast": metrics}, base=True),
        bench,
        judge,
        settings=for_command(tmp_path, "", seconds=500.0),
        risk=Risk(0.01),
        say=lambda _: None,
    ).run()
    assert len(bench.batches) == launches
