"""Damaged files from outside are read or refused, in a few seeded damages for every format.

`python -m tests.faults --count 1000` tries many, and builds damaged models in workers too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import BaselineError

from tests.faults.formats import FORMATS
from tests.faults.fuzzing import Format, fuzz

COUNT = 25


@pytest.mark.parametrize("form", FORMATS, ids=[form.name for form in FORMATS])
def test_damaged_files_are_read_or_refused(form: Format, tmp_path: Path) -> None:
    """No error but a `PerfgateError`, and none of them late. Undamaged ones are read."""
    for number, sample in enumerate(form.samples()):
        place = tmp_path / f"whole-{number}"
        place.mkdir()
        if form.name != "suite files":  # some need packages that are not here
            form.read(sample, place)
    outcome = fuzz(form, COUNT, tmp_path)
    assert not outcome.findings, outcome.findings[0].problem
    assert outcome.refused
    assert outcome.read + outcome.refused == COUNT


def _fails(content: bytes, _: Path) -> None:
    if content == b"late":
        import time

        time.sleep(0.05)
    elif content != b"refused":
        raise KeyError("raw")
    else:
        raise BaselineError("refused")


@pytest.mark.parametrize(
    ("content", "words"), [(b"raw", "KeyError"), (b"late", "it took"), (b"refused", "")]
)
def test_the_fuzzer_reports_what_a_reader_must_not_do(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """A raw error and a late answer are findings; an error of ours is none."""
    form = Format("any", lambda: [content], lambda _, source: source, _fails, seconds=0.02)
    outcome = fuzz(form, 1, tmp_path)
    assert [words in finding.problem for finding in outcome.findings] == ([True] if words else [])
    assert outcome.refused == (not words)
