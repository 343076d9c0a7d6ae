"""The list of sessions and the comparison in a real browser: silent, and as narrow as a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_perfgate.report import compare_sessions, comparison_page, index_page

from tests.report import sessions
from tests.report.browser import opened
from tests.report.pairs import calm, moved
from tests.report.test_browser import framed, pytestmark, violations  # noqa: F401 - marks this file

HOSTILE = sessions.HOSTILE[0] + sessions.HOSTILE[1] + sessions.HOSTILE[-1]


def pages(folder: Path, text: str) -> dict[str, str]:
    """Both pages, with a user's words in them."""
    (folder / "one.json").write_text(sessions.broken(text).model_dump_json(), encoding="utf-8")
    (folder / "cut.json").write_text("{", encoding="utf-8")
    page, _ = index_page.write(folder)
    after = moved(calm(), {"int8": 1.3}).model_copy(update={"command": "pytest " + text})
    return {
        "list": page.read_text(encoding="utf-8"),
        "comparison": comparison_page.differences(compare_sessions.sessions(calm(), after)),
    }


@pytest.mark.parametrize("text", ["", HOSTILE])
@pytest.mark.parametrize("name", ["list", "comparison"])
def test_a_page_is_silent_and_fits_a_phone(tmp_path: Path, name: str, text: str) -> None:
    """No word on the console, no script, no sideways scrolling at 375 px."""
    page = pages(tmp_path, text)[name]
    document_, console = opened(page, tmp_path)
    assert console == []
    assert "<script" not in document_
    narrow, _ = opened(framed(page, 375), tmp_path)
    result = re.search(r"<title>wide (\d+)", narrow)
    assert result
    assert int(result[1]) <= 375


@pytest.mark.parametrize("name", ["list", "comparison"])
def test_axe_finds_nothing_to_complain_of(tmp_path: Path, name: str) -> None:
    """WCAG 2.1 A and AA and axe's best practices."""
    assert violations(pages(tmp_path, "")[name], tmp_path) == []
