"""The table of conditions on the page: units, what was not measured, notes."""

from __future__ import annotations

from harness.record import Conditions
from harness.report import conditions
from harness.report.page import render
from tests.report import sessions
from tests.report.sessions import HOSTILE, METRICS
from tests.report.test_page import Reader


def test_values_have_units_and_what_is_unknown_is_said_so() -> None:
    """Every cell is a value with its unit, or "not measured"; never an empty one, never a zero."""
    suite = sessions.healthy().suites[0]
    found = conditions.table(suite)
    assert found is not None
    cells = {name: dict(zip(found.heads, row, strict=True)) for name, row, _ in found.rows}
    first, second, third = (cells[f"launch {index}"] for index in range(3))
    assert first["rounds took"] == "2.50 s"
    assert first["stolen by the hypervisor"] == "1.2 %"
    assert first["swapped in, out"] == "1 page, not measured"
    assert first["slowed for heat"] == "not measured"
    assert second["frequency: lowest, mean"] == "2.50 GHz, 3.00 GHz"
    assert third["stopped by the CPU quota"] == "2 times, 1.0 %"
    assert third["cores"] == "all"
    assert [state.partition(":")[0] for _, _, state in found.rows] == [
        "steady",
        "steady",
        "does not count",
    ]
    assert conditions.cells(Conditions())[2] == "not measured"


def test_the_page_has_the_table_folded_with_its_notes() -> None:
    """In a details element, one row per launch, and in words what was seen."""
    page = render(sessions.healthy(), METRICS)
    start = page.index("<summary>Conditions of the machine per launch</summary>")
    part = page[start : page.index("</details>", start)]
    assert page[:start].endswith("<details>")
    assert part.count('<th scope="row">launch ') == 3
    assert "launch 2: other processes used 50.0 %" in part


def test_a_session_without_conditions_has_no_table() -> None:
    """An older file is shown as before."""
    session = sessions.healthy()
    suite = session.suites[0].model_copy(update={"conditions": ()})
    page = render(session.model_copy(update={"suites": (suite,)}), METRICS)
    assert "Conditions of the machine" not in page
    assert conditions.table(suite) is None


def test_a_hostile_reason_is_text() -> None:
    """What stands in a file as a reason stays words on the page."""
    for text in HOSTILE:
        page = render(sessions.broken(text), METRICS)
        assert f"does not count: x{text}" in Reader(page).text
