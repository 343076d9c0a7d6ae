"""The one picture of a session: what it shows, that it is a PNG, and how the Markdown shows it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.report import exports, picture, publish

from tests.report import sessions
from tests.report.sessions import METRICS


def rows(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of each panel."""
    return [panel["data"]["values"] for panel in spec["vconcat"]]


def test_the_worst_budget_is_first_and_the_operators_are_those_that_moved() -> None:
    """Worse is to the right whatever the metric's good direction; statuses without a number have
    no row.
    """
    budgets, operators = rows(picture.spec(sessions.broken(), METRICS))
    assert budgets[0]["verdict"] == "FAIL"
    assert budgets[0]["budget"].endswith("onnx latency_p95 regression")
    assert 0 < budgets[0]["low"] < budgets[0]["at"] < budgets[0]["high"]
    assert "ERROR" not in {row["verdict"] for row in budgets}
    assert operators[0]["operator"] == "00 stem (Conv)"
    assert operators[0]["text"] == "-12.0 ms"


def test_a_session_without_numbers_has_a_picture_of_its_answer() -> None:
    """Nothing measured is said, not left empty."""
    empty = sessions.session(complete=False).model_copy(update={"suites": ()})
    ((row,),) = rows(picture.spec(empty, METRICS))
    assert row["text"]


@pytest.mark.parametrize("text", ["", sessions.HOSTILE[7], sessions.HOSTILE[8]])
def test_it_is_a_picture_whatever_names_hold(text: str) -> None:
    """On white, of a size that fits a comment; long names make it no wider."""
    image = Image.open(io.BytesIO(picture.png(sessions.broken(text), METRICS)))
    assert image.format == "PNG"
    assert 800 < image.width < 1700
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert len(image.convert("RGB").resize((60, 60)).getcolors(3600) or ()) > 10


def test_the_markdown_shows_it_and_names_the_operators(tmp_path: Path) -> None:
    """By its path from the Markdown, or by the address of the job; a picture that cannot be drawn
    is a problem and is not shown.
    """
    session = sessions.broken()
    page = publish.store(session, tmp_path / "reports").with_suffix(".html")
    settings = replace(
        for_command(tmp_path, ""), markdown=tmp_path / "md" / "p.md", picture=tmp_path / "a b.png"
    )
    result = exports.write(session, METRICS, settings, page)
    assert result.lines == ("picture: a b.png", "markdown: md/p.md")
    assert (tmp_path / "a b.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "md" / "p.md").read_text()
    assert "![Budgets and operators](../a%20b.png)" in text
    assert "operators&#58; head" in text or "operators: head" in text

    elsewhere = replace(
        settings,
        picture_url="https://example.org/x.png",
        picture=page.with_suffix(".json") / "x.png",
    )
    failed = exports.write(session, METRICS, elsewhere, page)
    (problem,) = failed.problems
    assert "picture" in str(problem)
    assert "![" not in (tmp_path / "md" / "p.md").read_text()
