"""Files stay short enough to be read in one go (docs/style.md)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 400
FOLDERS = "harness", "suites", "tests", "benchmarks", "docs"


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    """A longer one holds two things: each gets a module of its own."""
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text("utf-8").splitlines())
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
    }
    assert len(lengths) > 500
    assert {file: length for file, length in lengths.items() if length > MOST} == {}
