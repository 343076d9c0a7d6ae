"""Baselines in the forms of earlier versions: read, and carried up to the current one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_perfgate.baselines.baseline import VERSION, StoredMetric
from pytest_perfgate.baselines.store import Store, read_file, rendered
from pytest_perfgate.units import Unit

from tests.baselines.test_store import baseline

STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))
"""Baselines of a tiny suite, each written by the program of the commit that it is named after."""

SHIPPED = sorted((Path(__file__).parents[2] / "baselines").glob("*/*/*.json"))


@pytest.mark.parametrize(
    "file", STORED + SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_baselines_of_earlier_programs_are_read(file: Path) -> None:
    """Every stored format is carried up to the version that is written now, with its matches."""
    stored = read_file(file)
    assert stored.version == VERSION
    assert stored.metrics["latency_p50"].launches
    assert stored.accuracy is not None
    matches = stored.accuracy.matches
    assert matches is not None
    assert matches.ignored.array().shape == matches.hits.array().shape


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_a_peak_of_the_earlier_definition_is_left_out(file: Path) -> None:
    """It is named while it is read, and the file that is written next has no word of it. One of
    version 4 or later stays.
    """
    data = json.loads(file.read_text(encoding="utf-8"))
    stored = read_file(file)
    kept = data["version"] >= 4 and "peak_memory" in data["metrics"]
    assert ("peak_memory" in stored.metrics) is kept
    assert stored.redefined == (("peak_memory",) if data["version"] < 4 else ())
    text, *_ = rendered(stored)
    assert "redefined" not in text
    assert ("peak_memory" in text) is kept
    assert f'"version": {VERSION}' in text


def test_a_peak_of_this_definition_is_kept(tmp_path: Path) -> None:
    """A file of the version that is written now holds a peak like any other metric."""
    peak = StoredMetric(unit=Unit.BYTES, value=100, launches=(100, 101))
    new = baseline().model_copy(update={"metrics": {"peak_memory": peak}})
    stored = read_file(Store(tmp_path).write(new))
    assert (stored.metrics["peak_memory"].value, stored.redefined) == (100, ())


def test_there_is_a_baseline_of_every_version() -> None:
    """Each version that this program reads has a file that was truly written by it."""
    versions = {json.loads(file.read_text())["version"] for file in STORED}
    assert versions == set(range(1, VERSION + 1))
