"""What `pytest-perfgate prove` makes of the records of a candidate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.cli.prove_candidates import Sizes, with_fault
from pytest_perfgate.cli.prove_judge import ProofJudge
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.proving.catalogue import FAULTS
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.suite import reading

SUITE = """
[suite]
task = "detection"
model = "model:build"
data = { validation = "data:all" }

[[recipe]]
name = "fp32"
runtime = "torch"
[recipe.budgets]
map = { min = 0.5, regression = 0.01 }
latency_p50 = { max = "1 s" }
"""
MACHINE = Machine(cpu="Test CPU", features=(), cores=2, memory=8, os="Linux")
SIZES = Sizes(slower=0.12, latency=0.01, cold=0.234, load=0.1, memory=1e8)


def record(digest: str, score: float) -> RecipeRecord:
    """A record without launches, of a recipe with these predictions."""
    values = dict.fromkeys(("map", "map50", "map75"), score)
    accuracy = Accuracy(
        values=values, images=10, data_digest="data", predictions_digest=digest, seconds=1.0
    )
    return RecipeRecord(name="fp32", reference="fp32", accuracy=accuracy)


def bench(ours: RecipeRecord) -> Any:
    """A bench of a clean recipe and of one candidate."""
    return SimpleNamespace(
        record=lambda label: ours if label.endswith("@grey") else record("clean", 0.8),
        failures={},
        conditions=[],
    )


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A reference with a budget on its score and one on its time."""
    (tmp_path / "recipes.toml").write_text(SUITE)
    suite = reading.read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    return suite


def judge_of(suite: Suite) -> ProofJudge:
    """The judge of that reference."""
    return ProofJudge(suite, suite.recipes["fp32"], MACHINE, 0.01)


def test_a_fault_that_changes_no_prediction_is_none(suite: Suite) -> None:
    """It is listed with the reason; one that changes some is judged where it was measured."""
    recipe, judge = suite.recipes["fp32"], judge_of(suite)
    grey = with_fault(FAULTS["grey"], suite, recipe, SIZES, parity=None, growth=False)
    same = judge.row(grey, {}, SIZES, bench(record("clean", 0.8)))
    assert same.absent == "no prediction of the validation images changes by it"
    worse = judge.row(grey, {}, SIZES, bench(record("other", 0.3)))
    assert worse.absent == ""
    assert {cell.metric: cell.status for cell in worse.cells} == {
        "map": Status.FAIL,
        "latency_p50": None,
    }
    assert worse.red == ("map",)
    known = judge.row(grey, {"map": "red before"}, SIZES, bench(record("other", 0.3)))
    assert known.red == ()


def test_a_budget_that_is_red_before_proves_nothing(suite: Suite) -> None:
    """It is named with its reason; times that were not measured are not."""
    weak: Any = SimpleNamespace(record=lambda _: record("clean", 0.3), failures={}, conditions=[])
    judge = judge_of(suite)
    assert judge.red_before(bench(record("clean", 0.8))) == {}
    assert list(judge.red_before(weak)) == ["map"]


def test_sizes_are_shares_of_what_the_recipe_takes() -> None:
    """In seconds or bytes; the first inference in one digit, so that its evaluation is kept."""
    assert SIZES.of(FAULTS["slow_inference"]) == pytest.approx(0.0012)
    assert SIZES.of(FAULTS["slow_inference_5_percent"]) == pytest.approx(0.0005)
    assert SIZES.of(FAULTS["first_inference_slow"]) == 0.2
    assert SIZES.of(FAULTS["memory_20_percent"]) == pytest.approx(2e7)
    assert SIZES.words(FAULTS["slow_inference"]) == "+1.20 ms (12%)"
    assert SIZES.words(FAULTS["grey"]) == ""
