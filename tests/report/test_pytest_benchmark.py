"""pytest-benchmark: the session's samples stand in its table and in its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report import sessions

pytest.importorskip("pytest_benchmark", reason="python -m pip install pytest-benchmark")

CONFTEST = """\
from pathlib import Path

import pytest

from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.report import pytest_benchmark as benchmark


@pytest.hookimpl(wrapper=True, tryfirst=True)  # pytest-benchmark saves in a wrapper of its own
def pytest_sessionfinish(session):
    text = Path(__file__).with_name("session.json").read_text()
    benchmark.export(session.config, SessionRecord.model_validate_json(text))
    return (yield)
"""


def prepare(pytester: pytest.Pytester) -> Path:
    """A project whose session ends with the export of a broken session; its JSON's place."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it="def test_it():\n    pass\n")
    (pytester.path / "session.json").write_text(sessions.broken().model_dump_json())
    return pytester.path / "out.json"


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session of its own."""
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_json_and_table_hold_one_entry_per_measured_recipe(pytester: pytest.Pytester) -> None:
    """All samples of all launches, grouped by suite, with the other metrics and the verdicts."""
    out = prepare(pytester)
    result = run(pytester, "-p", "no:xdist", f"--benchmark-json={out}")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*perfgate: digits, latency per image*", "digits?fp32?*"])
    entries = {entry["param"]: entry for entry in json.loads(out.read_text())["benchmarks"]}
    assert set(entries) == {"fp32", "onnx"}  # int8 was not measured, and an empty one is refused
    entry = entries["onnx"]
    record = sessions.broken().suites[0].recipes[1]
    samples = [seconds for launch in record.launches for seconds in launch.latency]
    assert entry["stats"]["rounds"] == len(samples)
    assert entry["stats"]["max"] == pytest.approx(max(samples))
    assert entry["stats"]["mean"] == pytest.approx(sum(samples) / len(samples))
    assert entry["extra_info"]["reference"] == "fp32"
    assert entry["extra_info"]["verdicts"]["latency_p95"] == "FAIL"
    assert entry["extra_info"]["metrics"]["map"] == pytest.approx(0.738)
    assert len({entry["fullname"] for entry in entries.values()}) == len(entries)


def test_a_disabled_pytest_benchmark_gets_nothing(pytester: pytest.Pytester) -> None:
    """`--benchmark-disable` leaves no table."""
    prepare(pytester)
    result = run(pytester, "-p", "no:xdist", "--benchmark-disable")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*perfgate: digits*")


def test_a_session_without_pytest_benchmark_goes_on(pytester: pytest.Pytester) -> None:
    """With the plugin off there is nothing to fill and nothing to fail."""
    prepare(pytester)
    result = run(pytester, "-p", "no:benchmark", "-p", "no:xdist")
    assert result.ret == 0, result.stdout.str()


def test_workers_of_xdist_export_nothing(pytester: pytest.Pytester) -> None:
    """Under xdist the run passes and no entry is made twice."""
    pytest.importorskip("xdist", reason="python -m pip install pytest-xdist")
    prepare(pytester)
    result = run(pytester, "-n", "1")
    assert result.ret == 0, result.stdout.str()
    assert result.stdout.str().count("perfgate: digits") <= 1
