"""The terminal: worst first, within 100 columns, and numbers that are whole."""

from __future__ import annotations

import pytest

from harness.record import SessionRecord, Status
from harness.report import terminal
from harness.report.terminal import WIDTH, explain
from tests.report import sessions
from tests.report.sessions import METRICS


def lines(session: SessionRecord, verbosity: int = 0) -> list[tuple[str, dict[str, bool]]]:
    """What is written, with its markup."""
    written: list[tuple[str, dict[str, bool]]] = []
    terminal.write(
        session,
        lambda text, **markup: written.append((text, markup)),
        metrics=METRICS,
        verbosity=verbosity,
        update=False,
    )
    return written


def text_of(session: SessionRecord, verbosity: int = 0) -> str:
    """What is written, as one text."""
    return "\n".join(text for text, _ in lines(session, verbosity))


def test_the_worst_comes_first_and_what_passes_is_not_listed() -> None:
    """ERROR, FAIL, INCONCLUSIVE in this order, each with its reason and the next command."""
    text = text_of(sessions.broken())
    places = [text.index(f"{word} ") for word in ("ERROR", "FAIL", "INCONCLUSIVE")]
    assert places == sorted(places)
    assert "onnx latency_p95 ended as fail" in text
    assert "pytest --perf -k onnx" in text
    assert "ended as pass" not in text
    assert "ended as skipped" not in text


def test_quiet_prints_the_counts_alone() -> None:
    """`-q` is one line with a number for each kind."""
    assert lines(sessions.broken(), -1) == [
        (
            "verdicts: 1 ERROR, 1 FAIL, 1 INCONCLUSIVE, 1 NO BASELINE, 1 SKIPPED, 1 PASS",
            {},
        )
    ]


def test_very_verbose_prints_every_verdict() -> None:
    """`-vv` holds the reason of each verdict, the passes too."""
    text = text_of(sessions.broken(), 2)
    for status in Status:
        assert f"ended as {status.value.lower()}" in text


def test_only_the_caller_colours() -> None:
    """The text holds no escape sequence; the status travels as markup."""
    written = lines(sessions.broken(), 2)
    assert all("\x1b" not in text for text, _ in written)
    assert {"red": True, "bold": True} in [markup for _, markup in written]


@pytest.mark.parametrize("verbosity", [0, 1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "",
        "-of-a-name-that-is-as-long-as-a-name-may-be-at-most-0",
    ],
)
def test_no_line_is_wider_than_100_columns(name: str, verbosity: int) -> None:
    """Also with names of nearly the 64 letters that a name may have."""
    for text, _ in lines(sessions.broken(name), verbosity):
        assert len(text) <= WIDTH, text


def test_a_number_in_the_table_is_never_cut() -> None:
    """Long names and wide numbers push columns out whole: every row ends with a number's unit."""
    text = text_of(sessions.session(text="-of-a-longer-name-here"))
    rows = [line for line in text.splitlines() if line.startswith(("fp32-", "onnx-", "int8-"))]
    assert len(rows) == 3
    for row in rows:
        assert len(row) <= 100
        assert row.split()[-1] in {"MB", "images/s", "ms"}, row


def test_recipes_of_one_beginning_can_be_told_apart() -> None:
    """Two rows of the table never carry the same name."""
    base = sessions.healthy()
    suite = base.suites[0]
    long = "quantized-with-a-very-long-"
    records = tuple(
        record.model_copy(update={"name": long + record.name}) for record in suite.recipes
    )
    tables = {long + name: listed for name, listed in suite.summaries.items()}
    suite = suite.model_copy(update={"recipes": records, "summaries": tables, "verdicts": ()})
    text = text_of(base.model_copy(update={"suites": (suite,)}))
    named = [line.split()[0] for line in text.splitlines() if line.startswith("quantized")]
    assert len(set(named)) == 3


def test_the_table_shows_the_speed_up_over_the_reference() -> None:
    """A recipe that takes a quarter of its reference's time shows 4.00x."""
    text = text_of(sessions.healthy())
    row = next(line for line in text.splitlines() if line.startswith("int8 "))
    assert "7.50 ms 4.00x" in row


@pytest.mark.parametrize("status", list(Status))
def test_a_failing_test_explains_itself(status: Status) -> None:
    """Metric, value with interval, limit, baseline with age, why and what next."""
    failure = sessions.broken().suites[0].recipes[-1].failure if status is Status.ERROR else None
    text = explain(sessions.verdict("onnx", "latency_p95", status), failure)
    assert text.startswith(f"{status.value}  onnx  latency_p95")
    assert "pytest --perf -k onnx" in text
    assert "regression 5%" in text
    assert ("MemoryError: no more" in text) == (status is Status.ERROR)
    assert ("36.9 ms (36.2 ms … 37.6 ms)" in text) == (status is not Status.ERROR)
    assert ("30.0 ms, 12 days old" in text) == (status is Status.FAIL)
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_an_explanation_stays_narrow_whatever_the_words_are() -> None:
    """Words of 600 letters and long last words are wrapped, not run over the edge."""
    long = sessions.HOSTILE[-1]
    verdict = sessions.verdict("onnx", "map", Status.ERROR).model_copy(
        update={"reason": long, "next_step": "do " + long}
    )
    failure = sessions.broken(long).suites[0].recipes[-1].failure
    text = explain(verdict, failure)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "".join(text.split()).count(long) == 3
