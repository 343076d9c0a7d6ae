"""Budgets on counts: exact, at once, and with the nodes that came or went."""

from __future__ import annotations

import pytest
from pytest_perfgate.baselines.baseline import StoredMetric
from pytest_perfgate.baselines.store import rendered
from pytest_perfgate.metric import (
    COUNTED,
    MULTIPLY_ADDS,
    NODES,
    PAGE_FAULTS,
    PERFORMANCE,
)
from pytest_perfgate.records.counts import Counts
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.suite.budgets import allowed_limits
from pytest_perfgate.verdicts.evidence import Base, Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, stored

LARGE = 4_089_184_256
KINDS = {"Conv": 53, "Relu": 49}


def recipe(
    value: int | None, metric: str, kinds: dict[str, int] | None = None, source: str = ""
) -> RecipeRecord:
    """A record with one count and no launch; None: it was not measured."""
    values = {} if value is None else {metric: value}
    why = {metric: "nobody looked; look"} if value is None else {}
    counts = Counts(values=values, kinds=kinds or KINDS, source=source)
    return RecipeRecord(name="candidate", reference="reference", counts=counts, unmeasured=why)


def verdict(
    metric: str,
    kind: LimitKind,
    limit: float,
    value: int | None,
    other: int = LARGE,
    *,
    kinds: dict[str, int] | None = None,
    base: bool = False,
    sources: tuple[str, str] = ("", ""),
) -> Verdict:
    """Of a candidate beside `other`: the reference's count, the base's or the stored one; `sources`
    are where its nodes and theirs were read.
    """
    ours, theirs = sources
    unit = PERFORMANCE[metric].unit
    kept = {
        metric: StoredMetric(unit=unit, value=other),
        NODES: StoredMetric(unit=unit, value=other, kinds=KINDS, source=theirs),
    }
    evidence = Evidence(
        record=recipe(value, metric, kinds, ours),
        reference=recipe(other, metric, None, theirs).model_copy(update={"name": "reference"}),
        base=Base("main (1a2b3c4)", recipe(other, metric, None, theirs)) if base else None,
        baseline=stored(0.01).model_copy(update={"metrics": kept}),
    )
    budget = Budget(metric, (Limit(kind, limit, str(limit)),))
    return judge(budget, PERFORMANCE[metric], evidence, RISK, NOW)


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("metric", sorted(COUNTED))
def test_one_more_breaks_a_limit_and_as_many_keep_it(metric: str, base: bool) -> None:
    """Of any size: absolutely, beside the reference, and beside what was, without a launch."""
    assert set(allowed_limits(PERFORMANCE[metric])) == {
        LimitKind.MAX,
        LimitKind.GROWTH,
        LimitKind.REGRESSION,
    }
    for kind, limit in (
        (LimitKind.MAX, LARGE),
        (LimitKind.GROWTH, 0.0),
        (LimitKind.REGRESSION, 0.0),
    ):
        kept = verdict(metric, kind, limit, LARGE, base=base)
        broken = verdict(metric, kind, limit, LARGE + 1, base=base)
        assert (kept.status, broken.status) == (Status.PASS, Status.FAIL), kind
        assert broken.limits[0].method == "exact"
    assert verdict(metric, LimitKind.REGRESSION, 0.05, LARGE + 1, base=base).status is Status.PASS


@pytest.mark.parametrize("base", [False, True])
def test_what_was_nothing_may_not_become_anything(base: bool) -> None:
    """Page faults are 0 in most recipes, and there is no percentage of 0."""
    told = verdict(PAGE_FAULTS, LimitKind.REGRESSION, 0.05, 3, 0, base=base)
    assert told.status is Status.FAIL
    assert "page_faults is +3 to its base" in told.reason.replace("baseline", "base")
    assert verdict(PAGE_FAULTS, LimitKind.REGRESSION, 0.05, 0, 0, base=base).status is Status.PASS
    assert verdict(PAGE_FAULTS, LimitKind.GROWTH, 0.05, 1, 0).status is Status.FAIL


@pytest.mark.parametrize("base", [False, True])
def test_a_changed_count_names_the_nodes_that_came_or_went(base: bool) -> None:
    """Whichever count it is: what was fused before stands alone now."""
    kinds = {"Conv": 53, "Relu": 47, "Reorder": 4}
    for metric in (NODES, MULTIPLY_ADDS):
        told = verdict(metric, LimitKind.REGRESSION, 0.0, LARGE + 1, kinds=kinds, base=base)
        assert told.reason.endswith("; nodes: Reorder +4, Relu -2")
    same = verdict(MULTIPLY_ADDS, LimitKind.REGRESSION, 0.0, LARGE + 1, base=base)
    assert same.reason.endswith("; nodes: the same kinds, as many of each")


@pytest.mark.parametrize("base", [False, True])
def test_nodes_of_different_graphs_are_not_compared(base: bool) -> None:
    """A recipe that moved to another runtime would gain or lose half of its nodes by that alone."""
    moved = ("the optimized graph", "the operators dispatched")
    result = verdict(NODES, LimitKind.REGRESSION, 0.0, 153, 345, base=base, sources=moved)
    assert result.status is Status.NO_BASELINE
    assert "counted in the operators dispatched there, in the optimized graph here" in result.reason
    beside = verdict(NODES, LimitKind.GROWTH, 0.0, 153, 345, base=base, sources=moved)
    assert beside.status is Status.ERROR
    more = verdict(
        MULTIPLY_ADDS, LimitKind.REGRESSION, 0.0, 3, 2, kinds={"Add": 1}, base=base, sources=moved
    )
    assert more.status is Status.FAIL
    assert "nodes" not in more.reason


def test_a_baseline_keeps_where_its_nodes_were_read() -> None:
    """A file that does not name it is compared with any."""
    metric = StoredMetric(unit=PERFORMANCE[NODES].unit, value=2, kinds=KINDS, source="a graph")
    text, *_ = rendered(stored(0.01).model_copy(update={"metrics": {NODES: metric}}))
    assert '"source": "a graph"' in text
    result = verdict(NODES, LimitKind.REGRESSION, 0.0, LARGE, sources=("a graph", ""))
    assert result.status is Status.PASS


def test_a_count_that_was_not_measured_is_an_error() -> None:
    """It never passes; the reason and the remedy are the runtime's."""
    told = verdict(NODES, LimitKind.MAX, 10.0, None)
    assert (told.status, told.next_step) == (Status.ERROR, "look")
    assert told.reason == "nodes was not measured: nobody looked"


def test_a_stored_count_is_kept_to_the_last_digit() -> None:
    """Times are rounded in a baseline's file; a count is what it was."""
    metric = StoredMetric(unit=PERFORMANCE[MULTIPLY_ADDS].unit, value=LARGE, kinds=KINDS)
    text, *_ = rendered(
        stored(0.0123456789).model_copy(update={"metrics": {MULTIPLY_ADDS: metric}})
    )
    assert f"{LARGE}.0" in text
    assert '"Relu": 49' in text
