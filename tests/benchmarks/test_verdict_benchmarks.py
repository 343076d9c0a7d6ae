"""Benchmarks of verdicts: what they read of sessions, and that their simulations can tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.stats.tails import far_rounds, proven
from pytest_perfgate.verdicts.tail_bounds import ALLOWED

from benchmarks import simulated_coins, simulated_tails, verdicts


def suite(seconds: float, launches: int, status: str) -> dict[str, Any]:
    """A suite of a session's file: a recipe, its base and its copy, one round in each launch."""

    def arm(peak: float) -> dict[str, Any]:
        return {
            "launches": [
                {
                    "index": index,
                    "preprocess": [0.0],
                    "inference": [0.5],
                    "postprocess": [0.0],
                    "peak_memory": peak * (1.1 if index % 2 else 1.0),
                }
                for index in range(launches)
            ]
        }

    return {
        "recipes": [arm(100.0)],
        "base": {"recipes": [arm(100.0)]},
        "controls": [arm(100.0)],
        "yardstick": arm(0.0)["launches"],
        "verdicts": [{"status": status}],
        "phases": {"measure": seconds},
    }


def test_the_table_says_how_this_commit_stands_to_the_other() -> None:
    """Ratios of median times and launches, and whether the bar is kept; arms whose peaks move
    together do not scatter.
    """
    case = verdicts.CASES[0]
    turns = [
        verdicts.turn_of(side, case, suite(seconds, launches, status))
        for side, seconds, launches, status in (
            ("now", 8.0, 4, "FAIL"),
            ("before", 20.0, 8, "FAIL"),
            ("now", 9.0, 4, "FAIL"),
            ("before", 30.0, 8, "INCONCLUSIVE"),
        )
    ]
    assert turns[0].timed == pytest.approx(4 * 4 * 0.5)
    assert turns[0].peaks == pytest.approx(0.0, abs=1e-12)
    *rows, ratio = verdicts.table(turns, [case])
    assert "100%" in rows[1]
    assert " 50%" in rows[2]
    assert ratio.endswith("0.34 of the time (0.5 asked for: kept), 0.50 of the launches")


def test_a_simulated_session_sees_slow_images_and_nothing_else() -> None:
    """The planted change is red, unchanged code is green, both on a steady machine."""
    case, budget = ("steady", simulated_tails.CALM), simulated_tails.BUDGETS[0]
    red, _ = simulated_tails.session(case, budget, changed=True, seed=0)
    green, launches = simulated_tails.session(case, budget, changed=False, seed=0)
    assert (red, green, launches) == (Status.FAIL, Status.PASS, 4)


@pytest.mark.parametrize(("every", "limit"), [(1.0, 0.05), (1.06, 0.05), (1.3, 0.5)])
def test_many_simulated_sessions_are_judged_as_one_is(every: float, limit: float) -> None:
    """The sessions of one array are broken where the product's rules break each by itself."""
    random, bound = np.random.default_rng(1), float(np.log1p(limit))
    ratios = np.log(every) + 0.03 * random.normal(size=(20, 12, simulated_tails.ROUNDS))
    ratios += random.random(ratios.shape) < 0.06
    together = simulated_tails._broken(ratios, bound).tolist()
    alone = []
    for session in ratios.tolist():
        far = far_rounds(session, bound)
        alone.append(proven(far, simulated_tails.ALPHA) and far.share > ALLOWED)
    assert together == alone
    assert any(alone)


def test_pairs_of_a_parent_are_no_coins_of_their_own() -> None:
    """Parents in two modes, on the limit: pooled pairs are red far more often than alpha allows,
    their mean sign is not.
    """
    random = np.random.default_rng(1)
    over = np.where(random.random((300, 20, 1)) < 0.5, -0.05, 0.05) + np.zeros((300, 20, 4))
    pooled, _ = simulated_coins.DESIGNS["signs, 4 pairs as coins"]
    shared, _ = simulated_coins.DESIGNS["mean sign of 4 pairs"]
    assert pooled(over).any(axis=1).mean() > 0.2
    assert shared(over).any(axis=1).mean() < 0.03
