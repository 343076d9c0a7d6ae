"""A session in the Common Test Report Format (CTRF): JSON that dashboards of many tools read.

https://ctrf.io, version 0.0.0 of its specification. Each budget is a test.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.answer import answer, first_line

_STATUS = {
    Status.PASS: "passed",
    Status.FAIL: "failed",
    Status.ERROR: "failed",
    Status.SKIPPED: "skipped",
    Status.INCONCLUSIVE: "other",
    Status.NO_BASELINE: "other",
    Status.NO_MACHINE: "other",
    Status.UNAFFECTED: "other",
}
"""CTRF's five words (the fifth, "pending", is for tests that were not started)."""

_SPACE = uuid.UUID("6f6b3d3a-5d0e-5c0b-9a53-0f6f2a3f7c11")
"""Of the names that identifiers are made from: the same budget is the same test for ever."""


def write(file: Path, session: SessionRecord, report: str) -> None:
    """Writes the file, whole or not at all; `report` is the path of the session's page.

    Raises:
        ReportError: it cannot be written.
    """
    remedy = "make its folder writable, or name another: --perf-ctrf=FILE"
    with writing(file, "the CTRF file", ReportError, next_step=remedy):
        file.parent.mkdir(parents=True, exist_ok=True)
        put(file, json.dumps(render(session, report), ensure_ascii=False, indent=1) + "\n")


def render(session: SessionRecord, report: str) -> dict[str, Any]:
    """The document. Budgets of a suite are measured together, so none has a duration of its own.
    What was to be measured and has no budget is a test that failed.
    """
    tests = [_test(suite, verdict) for suite in session.suites for verdict in suite.verdicts]
    tests += map(_absent, session.absent)
    counts = Counter(test["status"] for test in tests)
    start = round(datetime.fromisoformat(session.started).timestamp() * 1000)
    duration = round(session.seconds * 1000)
    summary = {name: counts[name] for name in ("passed", "failed", "skipped", "pending", "other")}
    return {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "reportId": str(uuid.uuid5(_SPACE, f"{session.id} {session.machine.id}")),
        "timestamp": session.started,
        "generatedBy": "pytest-perfgate",
        "results": {
            "tool": {"name": "pytest-perfgate", "version": version("pytest-perfgate")},
            "summary": {
                "tests": len(tests),
                **summary,
                "suites": len(session.suites),
                "start": start,
                "stop": start + duration,
                "duration": duration,
                "extra": {"answer": answer(session), "complete": session.complete},
            },
            "tests": tests,
            "environment": {
                "commit": session.commit,
                "extra": {"machine": session.machine.id, "report": report},
            },
        },
    }


def _absent(text: str) -> dict[str, Any]:
    name = f"not measured: {first_line(text)}"
    return {
        "id": str(uuid.uuid5(_SPACE, name)),
        "name": name,
        "status": "failed",
        "rawStatus": Status.ERROR.value,
        "duration": 0,
        "message": text,
    }


def _test(suite: SuiteRecord, verdict: Verdict) -> dict[str, Any]:
    measured = {
        name: value
        for name in ("value", "low", "high", "baseline")
        if (value := getattr(verdict, name)) is not None
    }
    place = f"@{suite.target}" if suite.target else ""
    name = f"{verdict.recipe}-{verdict.metric}{place}"
    return {
        "id": str(uuid.uuid5(_SPACE, f"{suite.folder} {suite.name} {name}")),
        "name": name,
        "status": _STATUS[verdict.status],
        "rawStatus": verdict.status.value,
        "duration": 0,
        "suite": [suite.title, verdict.recipe],
        "filePath": f"{suite.folder}/recipes.toml",
        "message": verdict.reason,
        "parameters": {
            "recipe": verdict.recipe,
            "metric": verdict.metric,
            **({"target": suite.target} if suite.target else {}),
        },
        "extra": {
            **measured,
            **({"earlier": verdict.earlier.model_dump(mode="json")} if verdict.earlier else {}),
            "unit": verdict.unit,
            "limits": [f"{limit.kind} {limit.text}" for limit in verdict.limits],
            "next": verdict.next_step,
            "slower": list(verdict.slower),
        },
    }
