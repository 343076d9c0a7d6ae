"""The repositories that bisection is judged on."""

from __future__ import annotations

from pathlib import Path

from pytest_perfgate.versions.commit_range import read_range

from benchmarks.bisecting import Trial, git, plant, summary


def test_a_repository_has_its_step_in_one_commit(tmp_path: Path) -> None:
    """With a merged branch; the culprit is the first commit with the deeper network."""
    planted = plant(tmp_path, 12, 3, step=True)
    span = read_range(tmp_path, planted.good, planted.bad)
    assert len(span.commits) == 12
    assert "Merge topic" in span.subjects
    assert planted.culprit in {one.commit for one in span.commits}
    before, after = (
        git(tmp_path, "show", f"{name}:net.py")
        for name in (f"{planted.culprit}~1", planted.culprit)
    )
    assert "DEPTH = 40\n" in before
    assert "DEPTH = 42\n" in after
    assert "DEPTH = 42\n" in git(tmp_path, "show", f"{planted.bad}:net.py")


def test_the_figures_count_what_is_right() -> None:
    """Of ranges with a step and of those without."""
    right = Trial(True, True, 1, 0.99, 0.05, 12, 80.0, 0)
    wrong = Trial(True, False, 0, 0.0, 0.0, 0, 0.0, 0)
    none = Trial(False, True, 0, 0.0, 0.001, 10, 60.0, 0)
    assert summary([right, wrong, none]) == [
        "right commit: 1 of 2; median 80 s of measuring, 6 launches",
        "none proven: 1 of 1; median 60 s of measuring, 10 launches",
    ]
