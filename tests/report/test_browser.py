"""The page in a real browser: silent, scriptless, and as narrow as a phone."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.report.page import render
from tests.report import sessions
from tests.report.sessions import HOSTILE, METRICS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome on the PATH"),
]


def opened(page: str, folder: Path) -> tuple[str, list[str]]:
    """The document once it is loaded, and the lines that its console got."""
    assert BROWSER
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=3000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def framed(page: str, width: int) -> str:
    """A page that shows another at a width and writes down how wide its contents are."""
    return (
        "<!doctype html><title>frame</title>"
        f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(page)}">'
        "</iframe><script>addEventListener('load', () => {"
        "const inside = document.querySelector('iframe').contentDocument;"
        "inside.querySelectorAll('details').forEach(each => each.open = true);"
        "document.title = 'wide ' + inside.documentElement.scrollWidth"
        " + ' charts ' + inside.querySelectorAll('svg').length;"
        "})</script>"
    )


@pytest.mark.parametrize("text", ["", HOSTILE[0] + HOSTILE[1] + HOSTILE[3], HOSTILE[-1]])
def test_the_page_opens_without_a_word_on_the_console(tmp_path: Path, text: str) -> None:
    """No error and no refused load, with friendly and with hostile words."""
    document, console = opened(render(sessions.broken(text), METRICS), tmp_path)
    assert console == []
    assert document.count("<svg") == 3
    assert "<script" not in document
    assert "<img" not in document


def test_the_policy_stops_what_would_get_in(tmp_path: Path) -> None:
    """A script and a remote image put into the page are both refused by the page itself."""
    page = render(sessions.healthy(), METRICS)
    attack = '<script>document.title="taken"</script><img src="http://127.0.0.1:9/x.png">'
    document, console = opened(page.replace("<main>", "<main>" + attack), tmp_path)
    assert "<title>taken" not in document
    assert len([line for line in console if "Content Security Policy" in line]) == 2


@pytest.mark.parametrize("text", ["", "-" + "long" * 14, HOSTILE[-1]])
def test_a_phone_needs_no_sideways_scrolling(tmp_path: Path, text: str) -> None:
    """At 375 px, with everything folded out, the page is no wider than the screen."""
    document, _ = opened(framed(render(sessions.broken(text), METRICS), 375), tmp_path)
    found = re.search(r"<title>wide (\d+) charts (\d+)", document)
    assert found
    assert int(found[1]) <= 375
    assert int(found[2]) == 3


def test_the_measure_of_width_can_fail(tmp_path: Path) -> None:
    """Something 600 px wide put into the page is seen."""
    page = render(sessions.healthy(), METRICS)
    wide = page.replace("<main>", '<main><div style="width:600px">wide</div>')
    document, _ = opened(framed(wide, 375), tmp_path)
    found = re.search(r"<title>wide (\d+)", document)
    assert found
    assert int(found[1]) >= 600
