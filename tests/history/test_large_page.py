"""The nightly page of a thousand recipes in a real browser: small, sorted, filtered, fitting."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.history.page import render
from pytest_perfgate.history.watch import watch

from tests.history import many
from tests.report.browser import BROWSER, opened
from tests.report.test_browser import framed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome on the PATH"),
]

LOOK = """
const table = document.querySelector("table.every");
const names = () => [...table.tBodies[0].rows].filter(row => !row.hidden)
  .map(row => row.cells[0].textContent);
const box = document.querySelector(".filter input");
const type = text => { box.value = text; box.dispatchEvent(new Event("input")); };
const click = column => table.tHead.rows[0].cells[column].querySelector("button").click();
const before = names();
click(3);
const up = names();
click(3);
const down = names();
click(3);
type("recipe77");
const filtered = names();
type("");
[...document.querySelectorAll("details")].slice(0, 20).forEach(part => part.open = true);
document.title = JSON.stringify({
  before, up: up.slice(0, 40), down: down.slice(0, 40), filtered, after: names(),
  wide: document.documentElement.scrollWidth,
  scrolling: [...document.querySelectorAll(".scroll")]
    .filter(part => part.scrollWidth > part.clientWidth + 1).length,
  elements: document.querySelectorAll("*").length,
  buttons: table.tHead.querySelectorAll("button").length,
});
"""


def test_the_page_of_a_thousand_recipes(tmp_path: Path) -> None:
    """Under 3 MB and 100,000 elements, which a browser shows in less than a second. At 1400 pixels
    nothing needs sideways scrolling, at 375 each recipe is a card. Without a script it has all
    rows, worst first; the script sorts by numbers and back, and filters.
    """
    findings = many.findings(1000)
    now = findings.past.nights[-1].started.replace(tzinfo=UTC)
    page = render(findings, None, watch(findings, {}, now, None))
    assert len(page.encode()) < 3_000_000
    assert page.count("<th scope=row>") == 1000
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    looked = without.replace("</body>", f"<script>{LOOK}</script></body>")
    document, console = opened(looked, tmp_path, width=1400)
    assert console == []
    observed = _title(document)
    assert observed["elements"] < 100_000
    assert (observed["wide"], observed["scrolling"]) == (pytest.approx(1400, abs=30), 0)
    assert len(observed["before"]) == 1000
    assert {int(name.removeprefix("recipe")) % 10 for name in observed["before"][:100]} == {0}
    assert [int(name.removeprefix("recipe")) % 97 for name in observed["up"][:11]] == [0] * 11
    assert min(int(name.removeprefix("recipe")) % 97 for name in observed["down"]) > 90
    assert observed["filtered"] == [
        "recipe770",
        "recipe77",
        *(f"recipe77{n}" for n in range(1, 10)),
    ]
    assert observed["after"] == observed["before"]
    assert observed["buttons"] == 5  # nothing to sort by in a picture or a fold

    few = many.findings(12)
    small = render(few, None, watch(few, {}, now, None))
    document, _ = opened(framed(small, 375), tmp_path)
    wide = re.search(r"<title>wide (\d+) charts", document)
    assert wide
    assert int(wide[1]) <= 375


def _title(document: str) -> dict[str, Any]:
    title = re.search(r"<title>(\{.*?\})</title>", document, re.DOTALL)
    assert title, document[:300]
    observed: dict[str, Any] = json.loads(html.unescape(title[1]))
    return observed
