"""MLflow: a run per session and recipe in a real store, and no store that turns a session red."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_perfgate.errors import ReportError
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import exports, mlflow_run

from tests.report import sessions
from tests.report.sessions import METRICS

pytest.importorskip("mlflow", reason="python -m pip install 'pytest-perfgate[mlflow]'")
pytest.importorskip("sqlalchemy", reason="python -m pip install 'pytest-perfgate[mlflow]'")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts below the working folder
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


def test_a_session_is_a_run_with_its_report_and_a_run_per_recipe(
    mlflow_store: str, tmp_path: Path
) -> None:
    """Metrics with intervals, parameters, verdicts as tags; what was not measured is absent."""
    from mlflow.tracking import MlflowClient

    page = tmp_path / "20261123-150131.html"
    page.write_text("a page")
    page.with_suffix(".json").write_text("{}")
    before = dict(os.environ)
    run = mlflow_run.log(sessions.broken("<b>"), mlflow_store, page)
    assert dict(os.environ) == before
    client = MlflowClient(tracking_uri=mlflow_store)
    outer = client.get_run(run)
    assert outer.info.status == "FINISHED"
    assert outer.data.params["settings.alpha"] == "0.02"
    assert outer.data.tags["perfgate.session"] == "20261123-150131"
    assert "1 budget is broken of 6" in outer.data.tags["mlflow.note.content"]
    kept = {artifact.path for artifact in client.list_artifacts(run)}
    assert kept == {"20261123-150131.html", "20261123-150131.json"}
    experiment = client.get_experiment_by_name("perfgate")
    inner = {
        run_info.info.run_name: run_info
        for run_info in client.search_runs([experiment.experiment_id])
        if run_info.data.tags.get("mlflow.parentRunId") == run
    }
    assert set(inner) == {f"digits<b>/{name}<b>" for name in ("fp32", "onnx", "int8")}
    onnx = inner["digits<b>/onnx<b>"].data
    assert onnx.metrics["latency_p50"] == pytest.approx(0.012)
    assert onnx.metrics["latency_p50_low"] < 0.012 < onnx.metrics["latency_p50_high"]
    assert onnx.tags["verdict.latency_p95"] == Status.FAIL.value
    assert onnx.params["runtime"] == "onnxruntime<b>"
    lost = inner["digits<b>/int8<b>"]
    assert lost.info.status == "FAILED"
    assert lost.data.metrics == {}
    assert "signal 9" in lost.data.tags["problem"]


def test_another_experiment_can_be_named(
    mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own variable names it."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "nights")
    run = mlflow_run.log(sessions.healthy(), mlflow_store, None)
    client = MlflowClient(tracking_uri=mlflow_store)
    result = client.get_experiment(client.get_run(run).info.experiment_id)
    assert result.name == "nights"


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "nonsense://x"])
def test_a_store_that_does_not_take_it_is_a_warning(tmp_path: Path, uri: str) -> None:
    """The error is one of ours and names the store; the session gets a warning, no problem."""
    with pytest.raises(ReportError, match="MLflow rejected the session"):
        mlflow_run.log(sessions.healthy(), uri, None)
    settings = Settings(
        root=tmp_path,
        alpha=0.01,
        seconds=1.0,
        strict=False,
        update=False,
        reason="",
        reports=tmp_path,
        baselines=tmp_path,
        cache=tmp_path,
        timeout=1.0,
        wait=0.0,
        ci=False,
        command="",
        mlflow=uri,
    )
    reported = exports.write(sessions.healthy(), METRICS, settings, None)
    assert reported.problems == ()
    assert len(reported.warnings) == 1
    assert uri in reported.warnings[0]
