"""A session in MLflow: a run for it with its report, and inside it a run for every recipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import ReportError
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord

EXPERIMENT = "perfgate"
"""The experiment, unless MLFLOW_EXPERIMENT_NAME names another."""

_LONGEST = 5_000  # characters of a parameter or a tag; MLflow's own limits are 6,000 and 8,000
_CALM = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""A server that is away is not waited for by the minute, unless the user has said so."""


def log(session: SessionRecord, uri: str, page: Path | None) -> str:
    """Logs the session to the tracking store `uri`; returns the id of its run.

    A recipe's run has its metrics with the ends of their intervals (`latency_p50`,
    `latency_p50_low`, `latency_p50_high`, in base units), its chain and runtime as parameters, and
    its verdicts as tags. What was not measured is not logged.

    Raises:
        ReportError: whatever MLflow or its store say.
    """
    with _calm():
        try:
            from mlflow.tracking import MlflowClient

            return _log(MlflowClient(tracking_uri=uri), session, page)
        except Exception as error:
            what = " ".join(str(error).split())[:500] or type(error).__name__
            raise ReportError(f"MLflow rejected the session: {what}", where=uri) from error


def _log(client: Any, session: SessionRecord, page: Path | None) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    existing = client.get_experiment_by_name(name)
    experiment = existing.experiment_id if existing else client.create_experiment(name)
    started = int(datetime.fromisoformat(session.started).timestamp() * 1000)
    ended = started + int(session.seconds * 1000)
    tags = {
        "perfgate.session": session.id,
        "perfgate.complete": str(session.complete).lower(),
        "perfgate.machine": session.machine.id,
        "mlflow.source.git.commit": session.commit,
        "perfgate.dirty": str(session.dirty).lower(),
    }
    from pytest_perfgate.report.answer import answer

    outer = client.create_run(
        experiment,
        start_time=started,
        run_name=session.id,
        tags=_short({**tags, "mlflow.note.content": answer(session)}),
    ).info.run_id
    state = "FAILED"
    try:
        environment = session.environment
        params = {f"settings.{key}": value for key, value in session.settings.items()}
        params |= {f"packages.{key}": value for key, value in environment.packages.items()}
        _batch(client, outer, params | {"command": session.command, "python": environment.python})
        for suite in session.suites:
            for record in suite.recipes:
                run = client.create_run(
                    experiment,
                    start_time=started,
                    run_name=f"{suite.title}/{record.name}",
                    tags=_short(tags | {"mlflow.parentRunId": outer} | _verdicts(suite, record)),
                ).info.run_id
                values = _values(suite, record)
                _batch(client, run, _params(suite, record), values, started)
                client.set_terminated(run, "FAILED" if record.failure else "FINISHED", ended)
        if page is not None:
            client.log_artifact(outer, str(page))
            data = page.with_suffix(".json")
            if data.is_file():
                client.log_artifact(outer, str(data))
        state = "FINISHED"
    finally:
        client.set_terminated(outer, state, ended)
    return str(outer)


def _batch(
    client: Any,
    run: str,
    params: Mapping[str, object],
    values: Mapping[str, float] | None = None,
    time: int = 0,
) -> None:
    from mlflow.entities import Metric, Param

    client.log_batch(
        run,
        metrics=[Metric(key, value, time, 0) for key, value in (values or {}).items()],
        params=[Param(key, value) for key, value in _short(params).items()],
    )


def _values(suite: SuiteRecord, record: RecipeRecord) -> dict[str, float]:
    values = {}
    for summary in suite.summaries.get(record.name, ()):
        for ending, value in (("", summary.value), ("_low", summary.low), ("_high", summary.high)):
            if value is not None:
                values[summary.metric + ending] = value
    return values


def _params(suite: SuiteRecord, record: RecipeRecord) -> dict[str, object]:
    return {
        "suite": suite.title,
        "recipe": record.name,
        "reference": record.reference,
        "model": suite.model,
        "chain": " -> ".join(link.step for link in record.lineage),
        "runtime": record.runtime_name,
        **{f"runtime.{key}": value for key, value in record.runtime_facts.items()},
    }


def _verdicts(suite: SuiteRecord, record: RecipeRecord) -> dict[str, str]:
    values = {
        f"verdict.{verdict.metric}": verdict.status.value
        for verdict in suite.verdicts
        if verdict.recipe == record.name
    }
    return values | ({"problem": record.failure.problem} if record.failure else {})


def _short(texts: Mapping[str, object]) -> dict[str, str]:
    """Keys and texts as MLflow takes them."""
    return {
        "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in key)[:250]: str(
            text
        )[:_LONGEST]
        for key, text in texts.items()
    }


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    added = [key for key in _CALM if key not in os.environ]
    os.environ.update({key: _CALM[key] for key in added})
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
