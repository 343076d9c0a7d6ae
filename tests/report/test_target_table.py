"""One page with a column for each target, sorted by what is worst."""

from __future__ import annotations

import re

from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.markdown import render as markdown
from pytest_perfgate.report.page import render
from pytest_perfgate.report.target_table import target_tables

from tests.report import sessions


def on_targets() -> SessionRecord:
    """A suite on three targets: one keeps all, one breaks a budget, one has no machine."""
    whole = sessions.healthy()
    (suite,) = whole.suites
    jetson = whole.machine.model_copy(update={"cpu": "An ARM", "features": ("asimd",), "cores": 6})
    kept = suite.model_copy(
        update={"target": "epyc", "machine": whole.machine, "environment": whole.environment}
    )
    slow = sessions.verdict("int8", "latency_p50", Status.FAIL)
    broken = suite.model_copy(
        update={
            "target": "jetson",
            "machine": jetson,
            "environment": whole.environment,
            "verdicts": (*suite.verdicts[:-1], slow),
        }
    )
    absent = SuiteRecord(
        name=suite.name,
        folder=suite.folder,
        task="",
        model="",
        target="a100",
        failure=Failure(stage="suite", problem="the target a100 is off"),
        verdicts=tuple(
            Verdict(
                recipe=one.recipe,
                metric=one.metric,
                status=Status.NO_MACHINE,
                unit="",
                reason="the target a100 is off",
            )
            for one in suite.verdicts[2:]
        ),
    )
    return whole.model_copy(update={"suites": (kept, absent, broken)})


def test_columns_and_rows_begin_with_the_worst() -> None:
    """The budget that a target breaks comes first, and that target. What was not selected on one is
    an empty cell and no verdict.
    """
    (table,) = target_tables(on_targets())
    assert [column.name for column in table.columns] == ["jetson", "a100", "epyc"]
    assert [column.cpu for column in table.columns] == ["An ARM", "", "Some CPU"]
    assert [column.worst for column in table.columns] == [
        Status.FAIL,
        Status.NO_MACHINE,
        Status.PASS,
    ]
    first, *_, last = table.rows
    assert first.name == "int8 latency_p50"
    statuses = [cell and cell.status for cell in first.cells]
    assert statuses == [Status.FAIL, Status.NO_MACHINE, Status.PASS]
    assert last.name == "fp32 latency_p50"
    assert [cell and cell.status for cell in last.cells] == [Status.PASS, None, Status.PASS]


def test_a_suite_with_one_target_has_its_own_table_alone() -> None:
    """Nothing stands beside it."""
    session = on_targets()
    assert not target_tables(session.model_copy(update={"suites": session.suites[:1]}))
    assert not target_tables(sessions.healthy())


def test_page_and_markdown_say_the_same_of_each_target() -> None:
    """The table comes before what is broken, on both; the answer names the target."""
    session = on_targets()
    assert "int8 latency_p50 on jetson: int8 latency_p50 ended as fail" in answer(session)
    page = render(session, sessions.METRICS)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<main>")[2]))
    assert text.index("digits on 3 targets") < text.index("What is broken")
    heads = re.search(r"budget jetson . FAIL An ARM a100 . NO MACHINE not reached epyc", text)
    assert heads, text[:400]
    assert re.search(r"int8 latency_p50 . FAIL 36.9 ms 36.2 ms … 37.6 ms . NO MACHINE .", text)
    assert re.search(r"fp32 latency_p50 . PASS", text)
    assert "not selected" in text
    assert "epyc: some-cpu-2c" in text  # the environment of each machine
    assert "jetson: an-arm-6c" in text
    shown = markdown(session, sessions.METRICS, report="x.html")
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert lines[0] == "| budget | jetson: FAIL | a100: NO MACHINE | epyc: PASS |"
    assert lines[2] == (
        "| int8 latency_p50 | FAIL 36.9 ms (36.2 ms … 37.6 ms) | NO MACHINE | "
        "PASS 36.9 ms (36.2 ms … 37.6 ms) |"
    )
