"""Scores on sets and slices, and what a shift gained and lost, as tables of the page."""

from __future__ import annotations

from pytest_perfgate.metric import Scope
from pytest_perfgate.records.scope_rows import ShiftRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.scope_tables import shifts, tables
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.scope_table import scope_rows

from tests.verdicts.judging import recipe
from tests.verdicts.test_scope_budgets import broken_in, called, slices

METRICS = metrics_of("classification", (Scope("night"),))


def suite(**night: float) -> SuiteRecord:
    """A reference and a candidate whose score is lost on one slice, with an own score at night."""
    reference = broken_in(0, 0).with_set("night", called(200, 300))
    ours = slices(broken_in(300, 330), 300, 60, 20, 20, least=30)
    ours = ours.with_set("night", called(int(night.get("right", 200)), 300))
    records = [
        recipe("reference", 0.01).model_copy(update={"accuracy": reference}),
        recipe("candidate", 0.01).model_copy(update={"accuracy": ours}),
    ]
    evidence = [
        Evidence(record=one, reference=None if one.name == "reference" else records[0])
        for one in records
    ]
    return SuiteRecord(
        name="demo",
        folder="demo",
        task="classification",
        model="m",
        recipes=tuple(records),
        scoped={
            one.record.name: scope_rows(_with_metrics(one), {"accuracy@night"}) for one in evidence
        },
        shift=ShiftRecord(source="", target="night", adapting={"candidate": ("finetune",)}),
    )


def _with_metrics(evidence: Evidence) -> Evidence:
    return Evidence(record=evidence.record, reference=evidence.reference, metrics=METRICS)


def test_the_table_names_the_worst_and_what_is_too_small() -> None:
    """A line for each set and slice with its count; a cell for each recipe."""
    (table,) = tables(suite(), METRICS)
    assert table.metric == "accuracy"
    assert table.recipes == ("reference", "candidate")
    assert [(line.name, line.images, line.small) for line in table.lines] == [
        ("validation", 400, False),
        ("night", 300, False),
        ("camera=0", 300, False),
        ("camera=1", 60, False),
        ("camera=2", 20, True),
        ("camera=3", 20, True),
    ]
    cells = {line.name: line.cells for line in table.lines}
    assert cells["camera=2"] == (None, None)
    slice_cell, night_cell = cells["camera=1"][1], cells["night"][1]
    assert slice_cell is not None
    assert night_cell is not None
    assert slice_cell.worst
    assert slice_cell.value == "0.5000"
    assert slice_cell.to_reference.startswith("-0.5000 (")
    assert night_cell.worst
    assert night_cell.to_reference == "+0.0000"


def test_a_shift_says_what_was_gained_and_what_was_lost() -> None:
    """Each set by its own paired interval."""
    (line,) = shifts(suite(right=285), METRICS)
    assert (line.recipe, line.steps) == ("candidate", "finetune")
    assert line.words == "gains on night; loses on validation"
    (same,) = shifts(suite(), METRICS)
    assert same.words == "no change is proven on night; loses on validation"
    assert not shifts(SuiteRecord(name="s", folder="s", task="", model=""), METRICS)
