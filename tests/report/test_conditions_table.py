"""The table of conditions on the page: units, what was not measured, notes."""

from __future__ import annotations

from pytest_perfgate.machine.conditions import Conditions, DeviceConditions
from pytest_perfgate.report import conditions_table
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.drawn import broken_page, healthy_page
from tests.report.sessions import HOSTILE, METRICS
from tests.report.test_page import Reader


def test_values_have_units_and_what_is_unknown_is_said_so() -> None:
    """Every cell is a value with its unit, or "not measured"; never an empty one, never a zero."""
    suite = sessions.healthy().suites[0]
    found = conditions_table.table(suite)
    assert found is not None
    cells = {
        name: dict(found.constant) | dict(zip(found.heads, row, strict=True))
        for name, row, _ in found.rows
    }
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
    assert conditions_table.cells(Conditions())[2] == "not measured"


def test_the_page_has_the_table_folded_with_its_notes() -> None:
    """In a details element, one row per launch, and in words what was seen."""
    page = healthy_page()
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
    assert conditions_table.table(suite) is None


def test_a_hostile_reason_is_text() -> None:
    """What stands in a file as a reason stays words on the page."""
    for text in HOSTILE:
        page = broken_page(text)
        assert f"does not count: x{text}" in Reader(page).text


def test_devices_have_their_columns_where_one_was_used() -> None:
    """With units; what NVML did not tell is "not measured", and a launch without any too."""
    suite = sessions.healthy().suites[0]
    seen = DeviceConditions(
        uuid="GPU-1",
        name="NVIDIA A10",
        readings=40,
        warm_up=0.31,
        settled=False,
        sm_clock_lowest=1.2e9,
        sm_clock_mean=1.6e9,
        power_mean=120.4,
        energy=301.5,
        utilization=0.873,
        throttled=0.05,
        throttles=("software power cap",),
        rounds=32,
        rounds_left_out=2,
        others=0,
    )
    first, *rest = suite.conditions
    with_device = (first.model_copy(update={"devices": (seen,)}), *rest)
    found = conditions_table.table(suite.model_copy(update={"conditions": with_device}))
    assert found is not None
    cells = {
        name: dict(found.constant) | dict(zip(found.heads, row, strict=True))
        for name, row, _ in found.rows
    }
    one, two = cells["launch 0"], cells["launch 1"]
    assert one["GPU"] == "NVIDIA A10"
    assert one["warm-up until clocks were steady"] == "310 ms, not steady"
    assert one["SM clock: lowest, mean"] == "1.20 GHz, 1.60 GHz"
    assert one["memory clock: lowest, mean"] == "not measured"
    assert one["highest temperature"] == "not measured"
    assert one["power: mean, highest"] == "120 W, not measured"
    assert one["a kernel ran"] == "87.3 %"
    assert one["energy over the rounds"] == "302 J"
    assert one["throttled"] == "5.0 % (software power cap)"
    assert one["rounds left out"] == "2 of 32"
    assert one["peak memory in use"] == "not measured"
    assert one["other processes on it"] == "0 others"
    assert {two[head] for head in conditions_table._DEVICE_HEADS} == {"not measured"}
    assert dict(found.constant)["highest temperature"] == "not measured"  # in every launch
    assert any("2 of 32 rounds" in line for line in found.notes)
    assert any("clocks were not steady before launch 0" in line for line in found.notes)


def test_the_policy_of_the_samples_is_on_the_page() -> None:
    """What lay between two samples, and how arms took turns; nothing of an older session."""
    session = sessions.healthy()
    policy = {"between_samples": "flush_l2", "turns": "blocked"}
    suite = session.suites[0].model_copy(update={"policy": policy})
    page = render(session.model_copy(update={"suites": (suite,)}), METRICS)
    assert "L2 cache is flushed; arms that are compared take turns at every visit" in page
    assert conditions_table.policy(session.suites[0]) == ""
