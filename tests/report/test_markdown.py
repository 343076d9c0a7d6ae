"""Markdown: the page's words, the worst first, never too long, and text that stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.errors import ReportError
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import markdown
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.markdown import COMMENT, SUMMARY, append_summary, code, escape, render

from tests.report import sessions
from tests.report.sessions import HOSTILE, METRICS

markdown_it = pytest.importorskip("markdown_it", reason="python -m pip install markdown-it-py")
MARKDOWN = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Reader(HTMLParser):
    """The tags and the text of what a Markdown reader shows."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(MARKDOWN.render(source))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers a tag, and refuses attributes of any but table cells and lists."""
        self.tags.add(tag)
        assert not attrs or tag in {"td", "th", "ol"}, (tag, attrs)

    def handle_data(self, data: str) -> None:
        """Collects what is shown."""
        self.text += data


def plain(text: str) -> str:
    """Text without what is invisible, its white space made single."""
    return " ".join(markdown._UNSEEN.sub(" ", text.replace("\u200b", "")).split())


def many(number: int, text: str = "") -> SessionRecord:
    """A session with many broken budgets of long names."""
    listed = tuple(
        sessions.verdict(f"recipe-{index}-{'x' * 40}", "latency_p95", Status.FAIL, text)
        for index in range(number)
    )
    return sessions.session(listed)


def test_the_answer_comes_first_then_the_worst() -> None:
    """The page's sentence, then ERROR, FAIL and INCONCLUSIVE with reason and next command."""
    text = Reader(render(sessions.broken(), METRICS, report="reports/x.html")).text
    assert text.lstrip().startswith("perfgate: ERROR")
    assert plain(answer(sessions.broken())) in plain(text)
    body = text[text.index("verdicts:") :].partition("\n")[2]
    places = [body.index(word) for word in ("ERROR digits", "FAIL digits", "INCONCLUSIVE digits")]
    assert places == sorted(places)
    assert "regression 5%: +23.0 % (+21.0 % … +25.0 %) to its baseline of 2026-11-11" in text
    assert "next: pytest --perf -k onnx" in text
    assert "reports/x.html" in text


def test_one_reason_of_a_recipe_is_said_once_with_its_number() -> None:
    """Two budgets of a recipe that could not be built are one entry that says so."""
    one = sessions.verdict("int8", "map", Status.ERROR)
    two = one.model_copy(update={"metric": "latency_p50"})
    text = render(sessions.session((one, two)), METRICS, report="")
    assert "**ERROR** digits int8 map and 1 more budget of this recipe" in text
    assert text.count("- **ERROR**") == 1


def test_a_green_session_says_so_and_folds_the_rest() -> None:
    """Nothing needs anybody; every verdict is in a folded table."""
    source = render(sessions.healthy(), METRICS, report="")
    read = Reader(source)
    assert "All 6 budgets are kept." in read.text
    assert "next:" not in read.text
    assert {"details", "summary", "table", "pre"} <= read.tags
    assert source.count("| PASS |") == 6


@pytest.mark.parametrize("limit", [COMMENT, SUMMARY])
@pytest.mark.parametrize("number", [0, 3, 400, 6000])
def test_it_is_never_too_long_and_counts_what_it_leaves_out(limit: int, number: int) -> None:
    """However much is broken: whole entries up to the limit, and the number of the others."""
    source = render(many(number), METRICS, report="reports/x.html", limit=limit)
    assert len(source.encode()) <= limit
    assert source.count("<details>") == source.count("</details>")
    assert "reports/x.html" in source
    shown = source.count("- **FAIL**")
    if shown < number:
        assert f"{number - shown} more that need attention" in source
    assert shown or not number


def test_hostile_words_stay_within_the_limit() -> None:
    """Text that grows when it is escaped counts as what it grows to."""
    source = render(many(600, "|@#<&" * 300), METRICS, report="x" * 5000)
    assert len(source.encode()) <= COMMENT
    assert "more that need attention" in source


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_no_markup(text: str) -> None:
    """No tag but the page's own, whatever a suite, a worker or a command says."""
    source = render(sessions.broken(text), METRICS, report=text)
    own = Reader(render(sessions.broken(), METRICS, report="x")).tags
    assert Reader(source).tags <= own


TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("\\`*_[]()<>&|~#@$:!-+=.1 \nw/ahtp"), st.characters())
)


@given(TEXT)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    """A reader of Markdown gives every sign back, in a list, and makes no markup of it."""
    read = Reader("- x " + escape(text) + "\n- " + escape(text))
    assert read.tags <= {"ul", "li"}
    shown = plain(text)
    assert plain(read.text) == plain(f"x {shown} {shown}")


@given(TEXT)
def test_escaped_text_is_one_cell_of_a_table(text: str) -> None:
    """No sign ends the cell or the row."""
    read = Reader(f"| a | b |\n| --- | --- |\n| {escape(text)} | end |\n")
    assert read.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert plain(read.text) == plain(f"a b {plain(text)} end")


@given(TEXT)
def test_code_is_one_span(text: str) -> None:
    """A command is a code span whatever it contains, backticks too."""
    read = Reader("x " + code(text) + " y")
    assert read.tags <= {"p", "code"}
    assert plain(read.text) == plain(f"x {plain(text)} y")


@pytest.mark.parametrize(
    "text", ["@someone", "#123", "http://x.example", "www.x.example", "a@b.example", "owner/repo#1"]
)
def test_nobody_is_mentioned_and_nothing_is_linked(text: str) -> None:
    """The signs that GitHub looks for are parted from what follows them."""
    source = escape(text)
    assert "://" not in source
    assert "www." not in source
    for sign in "@#":
        assert sign not in source.replace("&#", "")
        if sign in text:
            assert f"&#{ord(sign)};\u200b" in source


def test_a_summary_is_appended_and_what_is_there_stays(tmp_path: Path) -> None:
    """An earlier command of the step keeps its words."""
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    append_summary(file, sessions.healthy(), METRICS, report="reports/x.html")
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n\n\n### perfgate: PASS")


def test_a_summary_stays_within_its_size(tmp_path: Path) -> None:
    """What is there counts; where nothing fits any more, that is said and nothing is written."""
    file = tmp_path / "summary.md"
    file.write_text("x" * (SUMMARY - 40_000))
    append_summary(file, many(3000), METRICS, report="x")
    assert SUMMARY - 10_000 < file.stat().st_size <= SUMMARY
    with pytest.raises(ReportError, match="full"):
        append_summary(file, sessions.healthy(), METRICS, report="x")
    with pytest.raises(ReportError, match="cannot be written"):
        append_summary(tmp_path / "none" / "x.md", sessions.healthy(), METRICS, report="x")
