"""The nightly page: the answer first, everything escaped, readable on a phone, silent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_perfgate.history.alerts import Alert, Confirmation, Expected, Result
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.findings import Choices, Findings
from pytest_perfgate.history.nights import read
from pytest_perfgate.history.page import answer, render
from pytest_perfgate.history.store import History
from pytest_perfgate.history.watch import Watch, watch
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report.templating import script

from tests.history import nights
from tests.history.nights import Night
from tests.report.browser import BROWSER, opened
from tests.report.sessions import HOSTILE
from tests.report.test_browser import framed, violations

EXPECTED = Expected(date="2026-02-01T08:00:00+00:00", by="A. Maintainer", reason="more exact")
SLOWER = [Night()] * 30 + [Night(factor=1.1, packages="2.0")] * 4


def page(folder: Path, listed: Sequence[Night]) -> str:
    """The page of a store of these nights."""
    nights.fill(folder, listed)
    with History(folder) as store:
        findings = analyse(read(store, 366, 30), Choices())
    return render(findings, None, watched(findings))


def told(folder: Path, listed: Sequence[Night]) -> str:
    """The page's first sentences."""
    nights.fill(folder, listed)
    with History(folder) as store:
        findings = analyse(read(store, 366, 30), Choices())
    return answer(findings, watched(findings))


def watched(findings: Findings, *alerts: Alert, hours: float = 1.0) -> Watch:
    """The alerts so many hours after the last night; `alerts` are stored of its machine."""
    past = findings.past.nights
    now = nights.FIRST + timedelta(days=len(past) - 1, hours=hours)
    stored = {past[-1].machine: alerts} if past else {}
    return watch(findings, stored, now, None)


def test_the_answer_names_what_changed_since_when_and_by_how_much(tmp_path: Path) -> None:
    """A step of four nights ago, and a budget that turned red last night."""
    text = told(tmp_path, [*SLOWER[:-1], Night(factor=1.1, status=Status.FAIL)])
    assert text.startswith("Since the session of 2026-02-02 02:00: 1 budget turned red")
    assert re.search(r"int8 latency_p50 moved by \+(9|10)\.\d % on 2026-01-31", text)


def test_a_calm_night_says_so(tmp_path: Path) -> None:
    """Nothing turned red; an older step is still named by its day."""
    calm = told(tmp_path / "one", [Night()] * 30)
    assert calm == "Since the session of 2026-01-29 02:00, no budget turned red."
    later = told(tmp_path / "two", [Night()] * 20 + [Night(factor=1.1)] * 20)
    assert later.endswith("The last step was on 2026-01-21.")


def test_an_empty_history_says_how_to_fill_it(tmp_path: Path) -> None:
    """No session, no chart, no crash."""
    assert "pytest --perf adds one" in page(tmp_path, [])


def test_the_card_of_a_step_answers_every_question(tmp_path: Path) -> None:
    """How much, since when, which commits, what else differs, what to run."""
    text = page(tmp_path, SLOWER)
    card = text[text.index("Steps in the last 7 sessions") : text.index("</section>")]
    assert "2026-01-31, for 4 sessions" in card
    assert f"{30:040x}"[:10] in card
    assert "onnxruntime 1.0 -&gt; 2.0" in card
    assert "pytest --perf -k int8-latency_p50 --perf-base 0000000000" in card
    assert card.count("<svg") == 1
    assert "compared through fp32" in card


def test_what_needs_attention_stands_on_top_and_nothing_else(tmp_path: Path) -> None:
    """A silent machine first, then confirmed steps; steps that are not confirmed are folded away,
    and no step that is closed is in the first sentence.
    """
    nights.fill(tmp_path, SLOWER)
    with History(tmp_path) as store:
        findings = analyse(read(store, 366, 30), Choices())
    new = watched(findings)
    assert "on 2026-01-31 (not measured again yet)" in answer(findings, new)
    (move,) = (one for one in new.standings if one.alert.metric == "latency_p50")

    def stored(result: Result) -> Alert:
        confirmation = Confirmation(
            result=result, date=move.alert.since, change=0.1, low=0.09, high=0.11, launches=8
        )
        return move.alert.model_copy(update={"confirmation": confirmation})

    others = [
        one.alert.model_copy(update={"expected": EXPECTED})
        for one in new.standings
        if one is not move
    ]
    confirmed = watched(findings, stored(Result.CONFIRMED), *others, hours=50)
    text = render(findings, None, confirmed)
    places = [
        text.index(words)
        for words in ("<h1>No result since last night: machine ", "<h2>No result", "<h2>Confirmed")
    ]
    assert places == sorted(places)
    assert "+10.0 % (+9.0 % … +11.0 %), 8 launches" in text
    bad = f"--bad {findings.past.nights[30].commit[:10]}"
    assert f"pytest-perfgate bisect int8 latency_p50 --good 0000000000 {bad}" in text
    refuted = watched(findings, stored(Result.NOT_CONFIRMED), *others)
    text = render(findings, None, refuted)
    assert "moved by" not in answer(findings, refuted)
    assert "<h2>Confirmed" not in text
    assert "<h2>Steps in the last" not in text
    assert "<h2>Open alerts" not in text
    assert "Steps that need no attention" in text


def test_one_session_makes_a_page(tmp_path: Path) -> None:
    """The first night: nothing to compare with, all values there."""
    text = page(tmp_path, [Night()])
    assert "1 session, 2 recipes" in text
    assert "10.2 ms" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words(tmp_path: Path, text: str) -> None:
    """Wherever a name can stand, markup in it is shown and does nothing."""
    built = page(tmp_path, [Night(text=text)] * 12 + [Night(text=text, factor=1.5)] * 4)
    own = f"<script>{script('table.js').text}</script>"
    assert own in built
    shown = built.replace(own, "")
    assert "<script" not in shown
    assert "<img" not in shown
    assert "onload=alert" not in re.sub(r"&[#\w]+;svg onload=alert", "", shown)
    assert "<b>bold" not in shown


def test_no_request_to_anywhere(tmp_path: Path) -> None:
    """The policy forbids them, and nothing asks for one."""
    text = page(tmp_path, SLOWER)
    assert "default-src 'none'" in text
    links = set(re.findall(r"https?://[^\"' <]+", text))
    assert links <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


browser = pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome on the PATH")


@browser
@pytest.mark.slow
@pytest.mark.parametrize("text", ["", HOSTILE[0] + HOSTILE[3], HOSTILE[-1]])
def test_it_opens_silently_and_fits_a_phone(tmp_path: Path, text: str) -> None:
    """No word on the console, and at 375 px no sideways scrolling, all folded out."""
    listed = [Night(text=text)] * 12 + [Night(text=text, factor=1.5, status=Status.FAIL)] * 4
    built = page(tmp_path / "store", listed)
    (tmp_path / "a").mkdir()
    _, console = opened(built, tmp_path / "a")
    assert console == []
    (tmp_path / "b").mkdir()
    document, _ = opened(framed(built, 375), tmp_path / "b")
    result = re.search(r"<title>wide (\d+) charts (\d+)", document)
    assert result
    assert int(result[1]) <= 375
    assert int(result[2]) >= 2


@browser
@pytest.mark.slow
def test_axe_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    """WCAG 2.1 A and AA and axe's best practices, with everything folded out."""
    listed = [Night()] * 12 + [Night(factor=1.5, status=Status.FAIL)] * 4
    built = page(tmp_path / "store", listed)
    assert violations(built, tmp_path) == []
