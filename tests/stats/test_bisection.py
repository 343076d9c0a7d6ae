"""The posterior over commits: laws, and how often it is right with the noise that was measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats.bisection import Flags, alike, credible, next_commits, posterior

STEP, SURE = 0.05, 0.98


def line(count: int) -> Flags:
    """`count` commits one after the other; column 0 is the good end."""
    return np.triu(np.ones((count, count + 1), dtype=np.bool_), 1)


def launch(
    random: np.random.Generator, arms: list[int], culprit: int, sd: float, tails: bool
) -> dict[int, float]:
    """Log values of arms in a launch at a level of its own. `tails`: Student's t, 3 degrees."""
    noise = random.standard_t(3, len(arms)) / 3**0.5 if tails else random.normal(size=len(arms))
    level = random.normal(0, 0.2)
    return {
        arm: level + STEP * (arm > culprit) + sd * float(error)
        for arm, error in zip(arms, noise, strict=True)
    }


def found(random: np.random.Generator, count: int, culprit: int, sd: float, tails: bool) -> int:
    """The commit that is named after as many launches as it takes, 60 at most."""
    contains, prior = line(count), np.ones(count)
    launches = [launch(random, [0, count], culprit, sd, tails) for _ in range(4)]
    built = {0, count}
    while len(launches) < 60:
        probabilities = posterior(contains, launches, prior)
        if probabilities.max() >= SURE:
            return int(probabilities.argmax())
        between = next_commits(contains, probabilities, 3, built, {0, count})
        built.update(between)
        launches += [launch(random, [0, *between, count], culprit, sd, tails) for _ in range(2)]
    return -1


@pytest.mark.parametrize(("sd", "tails"), [(0.01, False), (0.022, False), (0.022, True)])
def test_the_commit_of_a_step_of_5_percent_is_named(sd: float, tails: bool) -> None:
    """Among 64, with the noise between launches of different code on the machine of
    measurement: 2.2 %. At least 95 of 100 are right.
    """
    random = np.random.default_rng(5)
    culprits = [int(number) for number in random.integers(0, 64, 100)]
    right = sum(found(random, 64, culprit, sd, tails) == culprit for culprit in culprits)
    assert right >= 95


@given(st.integers(0, 9), st.integers(0, 2**32 - 1), st.permutations(range(10)))
@settings(max_examples=30, deadline=None)
def test_what_commits_are_called_changes_nothing(culprit: int, seed: int, order: list[int]) -> None:
    """The posterior of renumbered hypotheses is the posterior, renumbered; it adds up to 1; another
    level of a launch changes nothing.
    """
    random = np.random.default_rng(seed)
    contains, prior = line(10), np.ones(10)
    launches = [launch(random, [0, 3, 7, 10], culprit, 0.02, True) for _ in range(3)]
    plain = posterior(contains, launches, prior)
    assert plain.sum() == pytest.approx(1)
    assert posterior(contains[order], launches, prior) == pytest.approx(plain[order])
    shifted = [{arm: value + 7 for arm, value in one.items()} for one in launches]
    assert posterior(contains, shifted, prior) == pytest.approx(plain)


def test_a_merge_has_the_step_of_either_branch() -> None:
    """Good - a - merge and good - b - merge: a and merge have it, b has not, so a brought it."""
    contains = np.array(
        # good   a      b      merge
        [[False, True, False, True], [False, False, True, True], [False, False, False, True]]
    )
    launches = [{0: 0.0, 1: 0.05 + wave, 2: 0.0, 3: 0.05} for wave in (0.001, -0.001, 0.002)] * 4
    assert posterior(contains, launches, np.ones(3))[0] > SURE


def test_nothing_measured_leaves_the_prior() -> None:
    """And a commit that is ruled out stays so, whatever is measured."""
    contains, prior = line(4), np.array([1.0, 0.0, 1.0, 2.0])
    assert posterior(contains, [], prior) == pytest.approx(prior / 4)
    launches = [{0: 0.0, 1: 0.0, 2: 0.05, 4: 0.05}] * 9
    assert posterior(contains, launches, prior)[1] == 0
    assert posterior(contains, launches, np.ones(4)).argmax() == 1


def test_commits_that_cannot_be_measured_leave_neighbours_alike() -> None:
    """Without commit 2's column, hypotheses 1 and 2 predict the same of all others."""
    groups = alike(line(4), {0, 1, 3, 4})
    assert groups == [[0], [1, 2], [3]]
    probabilities = np.array([0.01, 0.5, 0.47, 0.02])
    assert credible(probabilities, groups, 0.95) == [1, 2]
    assert credible(probabilities, groups, 0.98) == [1, 2, 3]
    assert 2 not in next_commits(line(4), probabilities, 3, {0, 4}, {0, 2, 4})


@pytest.mark.parametrize(
    ("launches", "prior"),
    [([{0: float("nan"), 1: 1.0}], [1.0]), ([], [0.0]), ([], [1.0, 1.0])],
    ids=["nan", "none possible", "shape"],
)
def test_nonsense_is_refused(launches: list[dict[int, float]], prior: list[float]) -> None:
    """A value that is not finite, no possible commit, shapes that do not fit."""
    with pytest.raises(ValueError, match=r"finite|prior"):
        posterior(line(1), launches, np.array(prior))
