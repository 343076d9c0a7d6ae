"""A session that is red for what was not measured: every format says so, beside kept budgets."""

from __future__ import annotations

from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import annotations, ctrf, index_page, markdown, openmetrics, webhook
from pytest_perfgate.report.answer import answer

from tests.report import sessions

MISSED = (
    "suites/text/recipes.toml: no collected test takes `budget`\n  next:  write suites/text/t.py",
    "--perf-require=gpu: nothing of it was measured",
)
SESSION = sessions.healthy().model_copy(update={"absent": MISSED})
SAID = "suites/text/recipes.toml: no collected test takes `budget`, and 1 more."


def test_the_answer_names_what_was_not_measured(tmp_path) -> None:
    """Behind the kept budgets, on the page, in the list of sessions and in JUnit's property."""
    text = answer(SESSION)
    assert text == f"{answer(sessions.healthy())} Not all was measured: {SAID}"
    assert index_page.entry(SESSION, tmp_path / "a.json").answer == text


def test_no_format_is_green_for_it() -> None:
    """Its word is ERROR, as of a budget that could not be measured; the counts have it."""
    text = markdown.render(SESSION, sessions.METRICS, report="")
    assert text.startswith("### perfgate: ERROR\n")
    assert text.count("\n- **ERROR** ") == 2
    data = webhook.payload(SESSION, "").data
    assert (data.worst, data.answer) == (Status.ERROR, answer(SESSION))
    results = ctrf.render(SESSION, "")["results"]
    failed = [test for test in results["tests"] if test["status"] == "failed"]
    assert [test["message"] for test in failed] == list(MISSED)
    assert (results["summary"]["failed"], results["summary"]["tests"]) == (2, 8)
    lines = annotations.lines(SESSION, "")
    assert len(lines) == 2
    assert lines[0].startswith("::error title=ERROR not measured::suites/text/recipes.toml")
    assert "perfgate_session_absent 2" in openmetrics.render(SESSION, sessions.METRICS)
