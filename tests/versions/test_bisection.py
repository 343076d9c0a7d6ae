"""Bisection, with a bench that draws its launches: commits that do not build, no step, the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.metric import PERFORMANCE, Metric
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.versions import bisection
from pytest_perfgate.versions.bisection import Bisection, Outcome, check_metric
from pytest_perfgate.versions.commit_bench import label_of
from pytest_perfgate.versions.commit_range import CommitRange

LATENCY, SIZE = PERFORMANCE["latency_p50"], PERFORMANCE["artifact_size"]


def commit(number: int) -> Commit:
    """A commit whose name is its number."""
    return Commit(f"c{number}", f"{number:012d}{0:028d}", Path(), "", option="--good")


def number_of(name: str) -> int:
    """The number of a commit by its name, or by the beginning of it."""
    return int(name[:12])


def line(count: int) -> CommitRange:
    """`count` commits after the good one, in one line."""
    commits = tuple(commit(number) for number in range(count + 1))
    return CommitRange(
        good=commits[0],
        bad=commits[-1],
        commits=commits[1:],
        subjects=tuple(f"change {number}" for number in range(1, count + 1)),
        contains=np.triu(np.ones((count, count + 1), dtype=np.bool_), 1),
        prior=np.ones(count),
    )


class DrawnBench:
    """In the place of worker processes: a commit takes 10 ms, from `culprit` on so much more, with
    a noise of 2 % of each launch. Commits in `broken` do not build.
    """

    def __init__(self, culprit: int, step: float, broken: Sequence[int] = ()) -> None:
        self.problems: dict[str, str] = {}
        self.built: list[list[int]] = []
        self.closed = False
        self._culprit = culprit
        self._step = step
        self._broken = broken
        self._random = np.random.default_rng(3)
        self._launches: dict[str, list[Launch]] = {}
        self._index = 0

    def __call__(self, *_: Any) -> DrawnBench:
        """In the place of the class."""
        return self

    def __enter__(self) -> DrawnBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def add(self, commits: Sequence[Commit], recipes: Sequence[str]) -> None:
        """Notes what is built."""
        self.built.append([number_of(one.commit) for one in commits])
        for one in commits:
            if number_of(one.commit) in self._broken:
                self.problems[label_of(one, recipes[0])] = "build: broken"

    def launch(self, blocks: Sequence[Sequence[str]], *_: Any, last: bool) -> None:
        """One value for each arm."""
        del last
        for label in blocks[0]:
            noise = float(self._random.normal(0, 0.02))
            seconds = 0.01 * self._factor(label) * float(np.exp(noise))
            launch = Launch(
                index=self._index,
                core=0,
                started=0.0,
                load_time=0.1,
                preprocess=(1e-9,),
                inference=(seconds,),
                postprocess=(1e-9,),
                peak_memory=1,
            )
            self._launches.setdefault(label, []).append(launch)
        self._index += 1

    def _factor(self, label: str) -> float:
        return 1 + self._step * (number_of(label.partition("@")[2]) >= self._culprit)

    def record(self, label: str) -> RecipeRecord:
        """The launches so far, and a size that grows as the time does."""
        size = round(1000 * self._factor(label))
        return RecipeRecord(
            name="int8",
            reference="int8",
            artifact=ArtifactInfo(kind="onnx", digest="0", size=size, files={}),
            launches=tuple(self._launches.get(label, ())),
        )


Run = Callable[..., tuple[Outcome, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Bisects the commits of `line` on a drawn bench; the outcome and its lines."""

    def bisect(
        bench: DrawnBench, count: int = 32, metric: Metric = LATENCY, seconds: float = 60.0
    ) -> tuple[Outcome, list[str]]:
        monkeypatch.setattr(bisection, "CommitBench", bench)
        settings = for_command(tmp_path, "bisect", seconds=seconds)
        suite: Any = None  # a drawn bench reads no suite
        work = Bisection(suite, "int8", metric, line(count), settings, lambda _: None)
        outcome = work.run()
        assert bench.closed
        return outcome, work.lines(outcome)

    return bisect


@pytest.mark.parametrize("culprit", [1, 9, 32])
def test_the_commit_of_a_step_is_named(run: Run, culprit: int) -> None:
    """With few builds, and the two ends in every launch."""
    bench = DrawnBench(culprit, 0.05)
    outcome, lines = run(bench)
    assert outcome.culprits == (culprit - 1,)
    assert outcome.probability >= bisection.SURE
    assert f"change {culprit} (probability" in lines[1]
    assert lines[2].startswith("next: git show 0000")
    assert sum(map(len, bench.built)) <= 14
    assert outcome.change[1] < 0.05 < outcome.change[2]


def test_commits_that_do_not_build_are_named_with_their_neighbour(run: Run) -> None:
    """Nothing tells the culprit, which does not build, from the next commit."""
    outcome, lines = run(DrawnBench(20, 0.1, broken=[20]))
    assert outcome.culprits == (19, 20)
    assert "one of 2" in lines[1]
    assert "could not be measured" in lines[1]
    assert any("change 20: build: broken" in text for text in lines[4:])


def test_an_improvement_is_named_as_one(run: Run) -> None:
    """A step in the good direction."""
    _, lines = run(DrawnBench(5, -0.1))
    assert lines[1].startswith("first better commit: ")


def test_no_step_is_none_proven_and_builds_nothing_between(run: Run) -> None:
    """The ends are the same."""
    bench = DrawnBench(99, 0.0)
    outcome, lines = run(bench)
    assert outcome.culprits == ()
    assert lines[1].startswith("none proven: the ends of the range do not differ")
    assert bench.built == [[0, 32]]


def test_when_the_time_is_up_nothing_is_guessed(run: Run) -> None:
    """Two launches prove no step, however large."""
    outcome, lines = run(DrawnBench(9, 2.0), seconds=0.0)
    assert outcome.culprits == ()
    assert lines[1] == "none proven: 2 launches prove no step; give it more time: --seconds"


def test_an_end_that_does_not_build_is_one_message(run: Run) -> None:
    """It names the option, the ref and the reason; everything is closed."""
    bench = DrawnBench(9, 0.05, broken=[0])
    with pytest.raises(RecipeError, match="cannot be measured at c0") as caught:
        run(bench)
    assert caught.value.where == "--good c0"
    assert "build: broken" in caught.value.problem
    assert bench.closed


def test_a_metric_that_is_not_measured_is_one_message(run: Run) -> None:
    """Not a measurement that goes on until the time is up."""
    with pytest.raises(RecipeError, match="energy of int8 was not measured"):
        run(DrawnBench(9, 0.05), metric=PERFORMANCE["energy"])


def test_a_size_needs_no_launches(run: Run) -> None:
    """Its commit is found by builds alone, about three at a time."""
    bench = DrawnBench(9, 0.05, broken=[16])
    outcome, lines = run(bench, metric=SIZE, seconds=0.0)
    assert outcome.culprits == (8,)
    assert outcome.launches == 0
    assert "artifact_size of int8 from c0" in lines[0]
    assert "+5.0 %" in lines[0]
    same, _ = run(DrawnBench(99, 0.0), metric=SIZE)
    assert same.culprits == ()


@pytest.mark.parametrize("name", ["build_time", "memory_growth", "parity"])
def test_metrics_that_commits_cannot_be_compared_by_are_refused(name: str) -> None:
    """Observed once, a long run, against the reference."""
    with pytest.raises(RecipeError, match=name):
        check_metric(PERFORMANCE[name])
