"""The terminal: worst first, within 100 columns, and numbers that are whole."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.plain_text import printable
from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import terminal
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.terminal import explain
from pytest_perfgate.report.text import WIDTH
from pytest_perfgate.verdicts.accuracy_intervals import doubts

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


def test_the_answer_is_the_first_line() -> None:
    """The page's sentence, before any number, marked as the worst verdict is."""
    written = lines(sessions.broken())
    text = " ".join(" ".join(line for line, _ in written).split())
    assert text.startswith(" ".join(answer(sessions.broken()).split()))
    assert written[0][1] == {"red": True, "bold": True}
    text = "6 of 6 budgets were measured. All 6 budgets are kept."
    assert lines(sessions.healthy())[0] == (text, {"green": True})


def test_what_needs_somebody_comes_before_the_numbers_over_all_suites() -> None:
    """The second suite's FAIL stands above the first suite's INCONCLUSIVE, and both say which."""
    base = sessions.session((sessions.verdict("onnx", "throughput", Status.INCONCLUSIVE),), text="")
    other = sessions.session((sessions.verdict("int8", "map", Status.FAIL),)).suites[0]
    other = other.model_copy(update={"name": "text"})
    text = text_of(base.model_copy(update={"suites": (base.suites[0], other)}))
    places = [
        text.index(words)
        for words in ("FAIL          text int8 map", "INCONCLUSIVE  digits onnx", "suite digits")
    ]
    assert places == sorted(places)


def test_a_verdict_has_the_evidence_of_the_page() -> None:
    """What was compared, with its interval."""
    said = "compared    regression 5%: +23.0 % (+21.0 % … +25.0 %) to its baseline of 2026-11-11"
    assert said in text_of(sessions.broken())


def test_one_reason_of_a_recipe_is_said_once_with_its_number() -> None:
    """Three budgets of a recipe that could not be built are one entry that says so."""
    one = sessions.verdict("int8", "map", Status.ERROR)
    listed = tuple(
        one.model_copy(update={"metric": metric})
        for metric in ("map", "latency_p50", "peak_memory")
    )
    text = text_of(sessions.session(listed))
    assert "ERROR         int8 map and 2 more budgets of this recipe" in text
    assert text.count(one.reason) == 1


def test_a_reference_that_does_not_work_is_one_entry_of_all_recipes() -> None:
    """Budgets of several recipes rest on it: it is said once. What was measured is not said to be
    missing.
    """
    whole = sessions.session()
    doubt = Doubt(problem="map is 0.1", next_step="[suite.input] color = 'BGR'")
    suite = whole.suites[0]
    first = suite.recipes[0]
    assert first.accuracy is not None
    accuracy = first.accuracy.model_copy(update={"doubt": doubt})
    recipes = (first.model_copy(update={"accuracy": accuracy}), *suite.recipes[1:])
    reason = "the reference fp32 does not work as declared: map is 0.1"
    listed = tuple(
        sessions.verdict(name, "map", Status.ERROR).model_copy(
            update={"reason": reason, "value": 0.1}
        )
        for name in ("fp32", "onnx", "int8")
    )
    suite = suite.model_copy(update={"recipes": recipes, "verdicts": listed})
    text = text_of(whole.model_copy(update={"suites": (suite,)}))
    assert text.startswith("3 of 3 budgets were measured. 3 budgets of 3 could not be judged.")
    assert "ERROR         fp32 map and 2 more budgets of this suite" in text
    assert text.count(reason) == 1
    assert doubts(recipes, listed) == ()
    assert doubts(recipes, ()) == (f"{reason}; {doubt.next_step}",)


def test_a_wide_interval_stands_beside_its_value() -> None:
    """Of times and rates over launches: throughput too. A narrow one does not."""
    whole = sessions.healthy()
    suite = whole.suites[0]

    def shown(share: float) -> str:
        wide = {
            name: tuple(
                one.model_copy(
                    update={"low": one.value * (1 - share), "high": one.value * (1 + share)}
                )
                for one in summaries
            )
            for name, summaries in suite.summaries.items()
        }
        record = suite.model_copy(update={"summaries": wide})
        return text_of(whole.model_copy(update={"suites": (record,)}))

    assert "/s ±23 %" in shown(0.23)
    assert "±" not in shown(0.04)


def test_what_is_stored_instead_of_a_baseline_is_said_once() -> None:
    """Every budget of the recipe has the same note."""
    one = sessions.verdict("onnx", "peak_memory", Status.NO_BASELINE)
    limit = one.limits[0].model_copy(update={"notes": ("the nearest baseline is of far-1",)})
    listed = tuple(
        one.model_copy(update={"metric": metric, "limits": (limit,)})
        for metric in ("map", "latency_p50")
    )
    text = text_of(sessions.session(listed))
    assert text.count("the nearest baseline is of far-1") == 1


def test_very_verbose_prints_every_number() -> None:
    """`-vv` has every metric of every recipe with its interval; without it the table has to do."""
    assert "postprocess_p50  800 us (776 us … 832 us)" in text_of(sessions.healthy(), 2)
    assert "postprocess_p50" not in text_of(sessions.healthy(), 1)


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
    text = text_of(sessions.every_status(), 2)
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


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
WORDS = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab \n\t\r\x1b[]0;m\x07\u202e"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=400,
)


def is_plain(line: str) -> bool:
    """Whether a terminal shows the line as it is: no sign that steers it."""
    return all(unicodedata.category(sign) != "Cc" for sign in line) and "\u202e" not in line


@settings(deadline=None, max_examples=60)
@given(name=NAMES, words=WORDS, verbosity=st.integers(-1, 2))
def test_lines_are_narrow_and_plain_whatever_the_words_are(
    name: str, words: str, verbosity: int
) -> None:
    """Names as long as they may be, and reasons of any signs, from a worker for example."""
    listed = tuple(
        sessions.verdict("int8", "latency_p95", status).model_copy(
            update={"recipe": f"{name}-onnxruntime", "reason": words, "next_step": words}
        )
        for status in Status
    )
    base = sessions.session(listed)
    suite = base.suites[0]
    records = tuple(
        record.model_copy(update={"name": f"{record.name}-{name[:58]}"}) for record in suite.recipes
    )
    tables = {f"{key}-{name[:58]}": result for key, result in suite.summaries.items()}
    suite = suite.model_copy(
        update={
            "name": name,
            "recipes": records,
            "summaries": tables,
            "suspects": (words,),
            "notes": (words,),
        }
    )
    second = suite.model_copy(update={"name": name[::-1]})
    for text, _ in lines(base.model_copy(update={"suites": (suite, second)}), verbosity):
        assert len(text) <= WIDTH, text
        assert is_plain(text), text
    for verdict in listed:
        explained = explain(verdict, None).split("\n")
        assert max(map(len, explained)) <= WIDTH
        assert all(map(is_plain, explained))


def test_escape_sequences_of_a_worker_are_taken_out_whole() -> None:
    """Colours, titles and cursor movements leave no rest; other words stay."""
    assert printable("\x1b[31mred\x1b[0m \x1b]0;title\x07end\x1b[2J") == "red end"
    assert printable("a\rb") == "a b"
    assert printable("two\nlines … µs") == "two\nlines … µs"
