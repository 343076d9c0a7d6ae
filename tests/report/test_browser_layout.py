"""The page in a real browser: where its parts lie, and what its script does."""

from __future__ import annotations

import functools
import html
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.browser import BROWSER, opened
from tests.report.drawn import broken_page
from tests.report.sessions import METRICS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome on the PATH"),
]

LOOK = """
const shared = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
function look() {
  document.querySelectorAll("details").forEach(part => part.open = true);
  const wrong = [];
  let labels = 0;
  for (const picture of document.querySelectorAll("figure svg")) {
    const frame = picture.getBoundingClientRect();
    const texts = [...picture.querySelectorAll("text")]
      .filter(text => text.textContent.trim() && text.getBoundingClientRect().width);
    const boxes = texts.map(text => text.getBoundingClientRect());
    labels += texts.length;
    boxes.forEach((box, at) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1
          || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        wrong.push("cut off: " + texts[at].textContent);
      for (let other = 0; other < at; other++)
        if (shared(box, boxes[other]))
          wrong.push(texts[other].textContent + " under " + texts[at].textContent);
    });
  }
  const scrolling = [...document.querySelectorAll(".scroll")]
    .filter(part => part.scrollWidth > part.clientWidth + 1)
    .map(part => part.getAttribute("aria-label"));
  const table = document.querySelector("table.sortable");
  const names = () => [...table.tBodies[0].rows].filter(row => !row.hidden)
    .map(row => row.cells[0].textContent.trim());
  const numbers = column => [...table.tBodies[0].rows]
    .map(row => Number(row.cells[column]?.dataset.number));
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex(head => head.textContent.startsWith("latency_p50"));
  const before = names();
  const click = () => heads[column].querySelector("button").click();
  click();
  const up = numbers(column);
  click();
  const down = numbers(column);
  click();
  const after = names();
  const box = document.querySelector(".filter input");
  let filtered = null;
  if (box) {
    box.value = "_07_";
    box.dispatchEvent(new Event("input"));
    filtered = names();
  }
  document.title = JSON.stringify({
    labels, wrong, scrolling, before, up, down, after, filtered,
    wide: document.documentElement.scrollWidth,
  });
}
addEventListener("load", look);
"""


@functools.cache
def page_of_many() -> str:
    """The page of forty recipes."""
    return render(sessions.many(), METRICS)


@functools.cache
def looked(name: str) -> dict[str, Any]:
    """What a browser sees of a page at 1400 pixels, with everything folded out.

    The page's own policy refuses other scripts, so it is left out of this copy.
    """
    page = {"broken": broken_page, "many": page_of_many}[name]()
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert without != page
    with tempfile.TemporaryDirectory() as folder:
        watched = without.replace("</body>", f"<script>{LOOK}</script></body>")
        document, _ = opened(watched, Path(folder), width=1400)
    title = re.search(r"<title>(\{.*?\})</title>", document, re.DOTALL)
    assert title, document[:300]
    observed: dict[str, Any] = json.loads(html.unescape(title[1]))
    return observed


@pytest.mark.parametrize("name", ["broken", "many"])
def test_no_label_lies_on_another_and_none_is_cut_off(name: str) -> None:
    """In all pictures; a name without room is left to the tooltip."""
    observed = looked(name)
    assert observed["labels"] > 60
    assert observed["wrong"] == []


@pytest.mark.parametrize("name", ["broken", "many"])
def test_nothing_needs_sideways_scrolling_on_a_screen(name: str) -> None:
    """At 1400 pixels: metrics that nothing holds are folded away, tables are parted."""
    observed = looked(name)
    assert observed["scrolling"] == []
    assert observed["wide"] <= 1400


def test_a_click_sorts_and_a_word_filters() -> None:
    """Up, down, and back to the order of the suite file; rows without the word are hidden."""
    observed = looked("many")
    assert len(observed["before"]) == 40
    assert observed["up"] == sorted(observed["up"])
    assert observed["down"] == sorted(observed["up"], reverse=True)
    assert observed["up"] != observed["down"]
    assert observed["after"] == observed["before"]
    assert observed["filtered"] == ["backbone_07_int8"]


def test_the_page_of_forty_recipes_is_small() -> None:
    """Under 3 MB."""
    assert len(page_of_many().encode()) < 3_000_000
