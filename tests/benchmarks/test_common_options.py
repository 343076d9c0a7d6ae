"""Every benchmark can be looked at in a minute, and its figures can be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"
_NO_BENCHMARKS = {
    "coco_shape": "writes the suite that benchmarks.evaluation measures",
    "evaluation_phases": "one side of benchmarks.evaluation, in its own process",
    "null_server": "the server of benchmarks.load_generator",
}
_PROGRAMS = sorted(
    file for file in _FOLDER.glob("*.py") if '__name__ == "__main__"' in file.read_text("utf-8")
)


@pytest.mark.parametrize("file", _PROGRAMS, ids=lambda file: file.stem)
def test_a_benchmark_takes_quick_and_json(file: Path) -> None:
    """`--quick` and `--json` are options of each program that measures, and of no other."""
    text = file.read_text("utf-8")
    taken = '"--quick"' in text and '"--json"' in text
    assert taken != (file.stem in _NO_BENCHMARKS)
