"""A session in CTRF: each budget is a test, under the names and words of the format."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest
from pytest_perfgate.report import ctrf

from tests.report import sessions

SCHEMA = os.environ.get("PERFGATE_CTRF_SCHEMA", "")
"""The format's own schema: `schema/ctrf.schema.json` of github.com/ctrf-io/ctrf."""


def test_each_budget_is_a_test_in_the_words_of_the_format() -> None:
    """FAIL and ERROR failed, SKIPPED skipped; what was not decided is "other", never passed."""
    session = sessions.broken()
    document = ctrf.render(session, "reports/a.html")
    words = {test["rawStatus"]: test["status"] for test in document["results"]["tests"]}
    assert words == {
        "PASS": "passed",
        "FAIL": "failed",
        "ERROR": "failed",
        "SKIPPED": "skipped",
        "INCONCLUSIVE": "other",
        "NO BASELINE": "other",
    }
    summary = document["results"]["summary"]
    assert summary["tests"] == len(document["results"]["tests"]) == 6
    assert [summary[name] for name in ("passed", "failed", "skipped", "pending", "other")] == [
        *(1, 2, 1, 0, 2)
    ]
    assert summary["stop"] - summary["start"] == summary["duration"] == 303_000


def test_a_budget_is_the_same_test_in_every_session() -> None:
    """Dashboards count flaky and lasting failures by the identifier."""
    first, second = (
        ctrf.render(session, "")["results"]["tests"]
        for session in (sessions.broken(), sessions.session(sessions.broken().suites[0].verdicts))
    )
    assert [test["id"] for test in first] == [test["id"] for test in second]
    assert len({uuid.UUID(test["id"]) for test in first}) == 6


def test_a_budget_on_a_target_is_a_test_of_its_own() -> None:
    """Its name is the one of the test, and its identifier is no other target's."""
    session = sessions.broken()
    there = session.suites[0].model_copy(update={"target": "desk"})
    both = session.model_copy(update={"suites": (session.suites[0], there)})
    tests = ctrf.render(both, "")["results"]["tests"]
    assert len({test["id"] for test in tests}) == 12
    assert tests[-1]["name"] == f"{tests[5]['name']}@desk"
    assert tests[-1]["parameters"]["target"] == "desk"


@pytest.mark.skipif(not SCHEMA, reason="PERFGATE_CTRF_SCHEMA names no file of the format's schema")
@pytest.mark.parametrize("kind", ["broken", "healthy", "hostile", "empty"])
def test_a_document_is_valid_by_the_schema_of_the_format(kind: str, tmp_path: Path) -> None:
    """Also with nothing judged, and with text that no format likes."""
    import jsonschema

    session = {
        "broken": sessions.broken,
        "healthy": sessions.healthy,
        "hostile": lambda: sessions.broken(sessions.HOSTILE[0]),
        "empty": lambda: sessions.session(complete=False).model_copy(update={"suites": ()}),
    }[kind]()
    file = tmp_path / "out" / "ctrf.json"
    ctrf.write(file, session, "reports/a.html")
    jsonschema.Draft7Validator(
        json.loads(Path(SCHEMA).read_text(encoding="utf-8")),
        format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
    ).validate(json.loads(file.read_text(encoding="utf-8")))
