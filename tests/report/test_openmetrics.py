"""OpenMetrics: two parsers read it, names end on their units, and nothing is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.openmetrics import render, write
from pytest_perfgate.suite.metrics import metrics_of

from tests.report import sessions
from tests.report.sessions import METRICS

pytest.importorskip("prometheus_client", reason="python -m pip install prometheus_client")
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics


def families(text: str) -> dict[str, object]:
    """The families that the strict parser reads, by name."""
    return {family.name: family for family in openmetrics.text_string_to_metric_families(text)}


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a family by their labels' values."""
    return {tuple(sample.labels.values()): sample.value for sample in families(text)[name].samples}


@pytest.mark.parametrize("text", ["", *sessions.HOSTILE])
def test_both_parsers_read_it_whatever_the_names_are(text: str) -> None:
    """OpenMetrics' own, and Prometheus' older one, which a node exporter is like."""
    page = render(sessions.broken(text), METRICS)
    assert page.endswith("# EOF\n")
    result = families(page)
    assert all(family.type == "gauge" for family in result.values())
    older = {family.name: family for family in prometheus.text_string_to_metric_families(page)}
    assert result.keys() == older.keys()
    for name, family in result.items():
        assert [sample.value for sample in family.samples] == [
            sample.value for sample in older[name].samples
        ]
        assert all(sample.timestamp is None for sample in family.samples)
    assert values(page, "perfgate_latency_p50_seconds")["digits" + text, "fp32" + text] == 0.03


def test_values_and_intervals_are_in_base_units() -> None:
    """Seconds, bytes and ratios by their names, each end of the interval a family of its own."""
    page = render(sessions.healthy(), METRICS)
    assert values(page, "perfgate_peak_memory_bytes")["digits", "fp32"] == 180e6
    assert values(page, "perfgate_map_ratio")["digits", "fp32"] == 0.75
    assert values(page, "perfgate_latency_p50_low_seconds")["digits", "fp32"] == pytest.approx(
        0.0291
    )
    assert values(page, "perfgate_throughput_images_per_second")["digits", "onnx"] == 100
    assert values(page, "perfgate_session_duration_seconds") == {(): 303.0}


def test_every_unit_ends_its_name() -> None:
    """The rule of OpenMetrics, over every metric that there is."""
    for family in families(render(sessions.broken(), metrics_of("detection"))).values():
        assert not family.unit or family.name.endswith(f"_{family.unit}")


def test_what_was_not_measured_is_absent() -> None:
    """A recipe that failed has no sample of a metric, and its verdict says ERROR."""
    page = render(sessions.broken(), METRICS)
    assert ("digits", "int8") not in values(page, "perfgate_latency_p50_seconds")
    assert "perfgate_parity_ratio" not in families(page)
    said = values(page, "perfgate_verdict")
    assert said["digits", "int8", "latency_p50", "ERROR"] == 1
    assert said["digits", "int8", "latency_p50", "PASS"] == 0


def test_exactly_one_word_of_a_verdict_is_set() -> None:
    """Each budget has a sample for every word, one of them 1."""
    said = values(render(sessions.every_status(), METRICS), "perfgate_verdict")
    assert len(said) == 8 * len(Status)
    assert sum(said.values()) == 8
    counted = values(render(sessions.every_status(), METRICS), "perfgate_verdicts")
    assert counted == {(status.value,): 1.0 for status in Status}


def test_a_session_without_suites_is_a_valid_file() -> None:
    """Nothing measured: facts of the session alone."""
    empty = sessions.healthy().model_copy(update={"suites": ()})
    assert "perfgate_latency_p50_seconds" not in families(render(empty, PERFORMANCE))


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """No half-written file is left where an exporter looks for *.prom."""
    file = tmp_path / "new" / "perfgate.prom"
    write(file, sessions.healthy(), METRICS)
    assert [path.name for path in file.parent.iterdir()] == ["perfgate.prom"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot be written") as caught:
        write(tmp_path / "file" / "perfgate.prom", sessions.healthy(), METRICS)
    assert "--perf-openmetrics" in caught.value.next_step
