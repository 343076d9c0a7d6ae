"""The page in a real browser: silent, deaf to scripts of others, and as narrow as a phone."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.browser import BROWSER, opened
from tests.report.drawn import broken_page, healthy_page
from tests.report.sessions import HOSTILE, METRICS

PICTURES = (
    7  # of a session in which everything happened; no recipe continues one that continues one
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome on the PATH"),
]


def framed(page: str, width: int) -> str:
    """A page that shows another at a width and writes down how wide its contents are."""
    return (
        "<!doctype html><title>frame</title>"
        f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(page)}">'
        "</iframe><script>addEventListener('load', () => {"
        "const inside = document.querySelector('iframe').contentDocument;"
        "inside.querySelectorAll('details').forEach(each => each.open = true);"
        "document.title = 'wide ' + inside.documentElement.scrollWidth"
        " + ' charts ' + inside.querySelectorAll('svg.marks').length;"
        "})</script>"
    )


@pytest.mark.parametrize("text", ["", HOSTILE[0] + HOSTILE[1] + HOSTILE[3], HOSTILE[-1]])
def test_the_page_opens_without_a_word_on_the_console(tmp_path: Path, text: str) -> None:
    """No error and no refused load, with friendly and with hostile words."""
    document, console = opened(broken_page(text), tmp_path)
    assert console == []
    assert document.count('class="marks"') == PICTURES
    assert document.count("<script") == 1  # our own, without which the page is whole too
    assert '<label class="filter">' in document
    assert "<img" not in document


def test_the_policy_stops_what_would_get_in(tmp_path: Path) -> None:
    """A script and a remote image put into the page are both refused by the page itself."""
    page = healthy_page()
    attack = '<script>document.title="taken"</script><img src="http://127.0.0.1:9/x.png">'
    document, console = opened(page.replace("<main>", "<main>" + attack), tmp_path)
    assert "<title>taken" not in document
    assert len([line for line in console if "Content Security Policy" in line]) == 2


@pytest.mark.parametrize("text", ["", "-" + "long" * 14, HOSTILE[-1]])
def test_a_phone_needs_no_sideways_scrolling(tmp_path: Path, text: str) -> None:
    """At 375 px, with everything folded out, the page is no wider than the screen."""
    document, _ = opened(framed(broken_page(text), 375), tmp_path)
    found = re.search(r"<title>wide (\d+) charts (\d+)", document)
    assert found
    assert int(found[1]) <= 375
    assert int(found[2]) == PICTURES


def test_the_measure_of_width_can_fail(tmp_path: Path) -> None:
    """Something 600 px wide put into the page is seen."""
    page = healthy_page()
    wide = page.replace("<main>", '<main><div style="width:600px">wide</div>')
    document, _ = opened(framed(wide, 375), tmp_path)
    found = re.search(r"<title>wide (\d+)", document)
    assert found
    assert int(found[1]) >= 600


def judged_by_axe(page: str) -> str:
    """The page with axe-core in it, which writes what it finds into the title.

    The page's own policy refuses scripts, so it is left out of this copy.
    """
    axe = pytest.importorskip(
        "axe_core_python", reason="python -m pip install 'pytest-perfgate[test]'"
    )
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    run = (
        "document.querySelectorAll('details').forEach(each => each.open = true);"
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',"
        " 'best-practice']}).then(found => { document.title = 'axe ' + found.passes.length + ' '"
        " + JSON.stringify(found.violations.map(each => [each.id, each.nodes.length,"
        " each.nodes[0].html.slice(0, 200), each.nodes[0].failureSummary])); });"
    )
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert without != page
    return without.replace("</body>", f"<script>{script}</script><script>{run}</script></body>")


def violations(page: str, folder: Path) -> list[str]:
    """What axe-core finds wrong, one text per rule."""
    document, _ = opened(judged_by_axe(page), folder)
    found = re.search(r"<title>axe (\d+) (\[.*?\])</title>", document, re.DOTALL)
    assert found, document[:300]
    assert int(found[1]) > 10  # it looked
    return [str(each) for each in json.loads(html.unescape(found[2]))]


@pytest.mark.parametrize("name", ["healthy", "broken", "hostile"])
def test_axe_finds_nothing_to_complain_of(tmp_path: Path, name: str) -> None:
    """WCAG 2.1 A and AA and axe's best practices, with everything folded out."""
    session = {
        "healthy": sessions.healthy,
        "broken": sessions.broken,
        "hostile": lambda: sessions.broken(HOSTILE[0]),
    }[name]()
    assert violations(render(session, METRICS), tmp_path) == []


def test_axe_can_complain(tmp_path: Path) -> None:
    """A picture without a text and pale letters put into the page are both found."""
    page = healthy_page()
    bad = '<img src="data:,"><p style="color:#ddd;background:#fff">pale</p>'
    found = " ".join(violations(page.replace("<main>", "<main>" + bad), tmp_path))
    assert "image-alt" in found
    assert "color-contrast" in found


def test_the_keyboard_reaches_every_mark_of_a_small_picture() -> None:
    """Marks that say something carry it as a title, for the mouse, and a place in the order of
    tabs; those of a large picture do not stand in the way.
    """
    document = healthy_page()
    marks = re.findall(r'aria-label="([^"]*)" tabindex="0"><title>([^<]*)</title>', document)
    assert all(label == title for label, title in marks)
    assert any("fp32: 30.0 ms, map" in label for label, _ in marks)
    samples = document[document.index("Latency, every sample") :]
    samples = samples[: samples.index("</figure>")]
    assert samples.count("<path") > 300
    assert samples.count('tabindex="0"') < 30
