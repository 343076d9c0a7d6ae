"""The benchmark of the comparison of timed outputs: its figures, from known launches."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.records.launch import Launch

from benchmarks import output_check
from benchmarks.output_check import Cost, Tally


def test_the_turns_are_those_of_a_launch() -> None:
    """Eight visits, each of one turn that is not timed and four rounds."""
    numbers = list(output_check._numbers())
    assert numbers[:6] == [0, 0, 1, 2, 3, 4]
    assert (len(numbers), len(set(numbers))) == (40, 32)


def test_the_closest_ratio_is_that_of_slow_known_and_fast_fresh_inputs() -> None:
    """One known input in four may be slower; of the two kinds of known inputs the faster counts."""
    times = [0.006, 0.010, 0.009, 0.012] * 7 + [0.050, 0.010, 0.050, 0.011]
    launch = Launch.model_construct(rounds=tuple(range(32)), inference=tuple(times))
    assert output_check._closest(launch) == pytest.approx(0.6)


def test_the_share_counts_every_launch_and_one_evaluation() -> None:
    """Of the median session."""
    costs = {"a": Cost(turns=1.0, between=0.01, around=0.01, evaluation=0.1)}
    assert output_check._share(costs, [9.0, 18.0, 20.0]) == pytest.approx(0.18 / 18)


def test_a_run_goes_on_from_its_file(tmp_path: Path) -> None:
    """With the alarms of the sessions before: a stopped run forgets none of them."""
    file = tmp_path / "figures.json"
    assert output_check.read(file) == ([], {})
    tallies = {"a": Tally(launches=4, alarms=["early exit"], closest=0.4), "b": Tally()}
    output_check._write(file, [9.0], tallies, {})
    assert output_check.read(file) == ([9.0], tallies)
