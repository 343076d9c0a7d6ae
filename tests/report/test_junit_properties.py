"""Properties of a test: what JUnit readers get of a verdict."""

from __future__ import annotations

from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.junit_properties import of

from tests.report import sessions


def test_a_broken_budget_has_its_evidence() -> None:
    """Value, interval, unit, limit with what was compared, and the page's path."""
    result = dict(of(sessions.verdict("onnx", "latency_p95", Status.FAIL), "reports/x.html"))
    assert result["verdict"] == "FAIL"
    assert (result["recipe"], result["metric"]) == ("onnx", "latency_p95")
    assert (result["value"], result["unit"]) == (0.0369, "s")
    assert result["low"] < result["value"] < result["high"]
    assert result["baseline"] == 0.030
    assert result["limit.regression"] == "5%"
    assert result["limit.regression.verdict"] == "FAIL"
    assert result["limit.regression.scale"] == "ratio"
    assert [result[f"limit.regression.{end}"] for end in ("estimate", "low", "high")] == [
        1.23,
        1.21,
        1.25,
    ]
    assert result["limit.regression.against"] == "baseline of 2026-11-11"
    assert result["report"] == "reports/x.html"


def test_a_budget_on_a_target_says_where_it_was_measured() -> None:
    """The target's name and its machine; neither where the session has no target."""
    broken = sessions.verdict("onnx", "latency_p95", Status.FAIL)
    result = dict(of(broken, "x", "jetson", "arm-6c-0a0b"))
    assert (result["target"], result["machine"]) == ("jetson", "arm-6c-0a0b")
    assert not {"target", "machine"} & dict(of(broken, "x")).keys()


def test_what_was_not_measured_has_no_number() -> None:
    """No value, no interval, no estimate: absent, never zero."""
    result = dict(of(sessions.verdict("int8", "latency_p50", Status.ERROR), "x"))
    assert result["verdict"] == "ERROR"
    assert not {"value", "low", "high", "limit.regression.estimate"} & result.keys()
