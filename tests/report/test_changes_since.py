"""What was measured beside the recipes: the base, unchanged copies, the plan, and the noise."""

from __future__ import annotations

from html import unescape

import pytest
from pytest_perfgate.records.session import BaseRecord, SessionRecord, Spread
from pytest_perfgate.report import page, terminal

from tests.report import sessions
from tests.report.sessions import METRICS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HOSTILE = "<script>alert(1)</script>"


def with_base(text: str = "", python: str = "") -> SessionRecord:
    """A healthy session that compared two versions, with `text` where a user's words can stand."""
    session = sessions.healthy()
    suite = session.suites[0]
    one = suite.recipes[0]
    suite = suite.model_copy(
        update={
            "plan": f"9 arms, 4 launches {text}",
            "notes": (f"launch 3 does not count {text}",),
            "controls": (one,),
            "base": BaseRecord(
                ref=text or "origin/main",
                commit=COMMIT,
                python=python,
                recipes=(one,),
                problems={"int8": f"there is no recipe 'int8' at the base {text}"},
            ),
            "spreads": {
                one.name: Spread(within=0.05, between=0.012, launch=0.02, samples=24, launches=8)
            },
        }
    )
    return session.model_copy(update={"suites": (suite,)})


def both(session: SessionRecord) -> list[str]:
    """The page and the terminal, as text."""
    written: list[str] = []
    terminal.write(
        session,
        lambda text, **_: written.append(text),
        metrics=METRICS,
        verbosity=0,
        update=False,
    )
    return [unescape(page.render(session, METRICS)), " ".join("\n".join(written).split())]


@pytest.mark.parametrize("medium", [0, 1], ids=["page", "terminal"])
def test_the_base_and_the_unchanged_copy_stand_beside_the_verdicts(medium: int) -> None:
    """The commit, what could not be compared and why, and what two equal arms differed by."""
    text = both(with_base())[medium]
    assert "compared with the code of origin/main (0123456789), in the same launches" in text
    assert "not compared: there is no recipe 'int8' at the base" in text
    copied = with_base().suites[0].recipes[0]
    assert f"unchanged copy of {copied.name}: latency_p50 +0.0 % to it" in text
    assert "launch 3 does not count" in text


@pytest.mark.parametrize("medium", [0, 1], ids=["page", "terminal"])
def test_pairs_of_programs_are_called_so(medium: int) -> None:
    """Another interpreter is named: such pairs are noisier."""
    text = both(with_base(python="/opt/old/bin/python"))[medium]
    assert "every arm a program of its own, the base's by /opt/old/bin/python" in text


def test_the_page_has_the_plan_and_where_the_noise_was() -> None:
    """Three standard deviations in percent: within a launch, between launches, of a mean."""
    text = both(with_base())[0]
    assert "plan: 9 arms, 4 launches" in text
    assert "<td>5.13 %</td><td>1.21 %</td><td>2.02 %</td>" in text


def test_nothing_is_said_of_what_was_not_there() -> None:
    """A session without a base, a copy or a plan has no such lines."""
    for text in both(sessions.healthy()):
        for words in ("compared with the code", "unchanged copy", "plan:", "Where the noise was"):
            assert words not in text


def test_what_stands_beside_is_escaped() -> None:
    """A ref, a problem, a note and a plan add no tag to the page."""
    text = page.render(with_base(HOSTILE), METRICS)
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
