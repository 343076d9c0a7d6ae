"""The benchmark of pixels and boxes: its comparisons are of equal results, and a miss is red."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import pixels
from benchmarks.pixels import Ratio


def test_a_ratio_beyond_its_target_is_missed_and_one_without_target_is_not() -> None:
    """The target itself is kept."""
    assert Ratio("letterbox", "peer", 0.0012, 0.001, 1.1).missed
    assert "ratio 1.20 (target: at most 1.1), MISSED" in str(Ratio("a", "b", 1.2, 1.0, 1.1))
    assert not Ratio("letterbox", "peer", 0.0011, 0.0011, 1.1).missed
    assert not Ratio("stage", "commit", 2.0, 1.0, None).missed


def test_a_missed_target_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results are compared with the peers' before any time is taken; figures reach the file."""
    pytest.importorskip("cv2", reason="pip install 'pytest-perfgate[opencv]'")
    pytest.importorskip("torch", reason="pip install 'pytest-perfgate[torch]'")
    monkeypatch.delattr("os.sched_setaffinity")  # the tests' process stays on its cores
    monkeypatch.setattr(pixels, "in_turns", lambda ours, *_: (float(ours() is None), 1.0))
    assert pixels.main(["--quick", "--json", str(tmp_path / "ratios.json")]) == 0
    monkeypatch.setattr(pixels, "in_turns", lambda *_: (2.0, 1.0))
    assert pixels.main(["--quick"]) == 1
    assert capsys.readouterr().out.count("MISSED") == 5
    rows = json.loads((tmp_path / "ratios.json").read_text())
    assert [row["target"] for row in rows] == [1.1, 1.1, 1.1, 1.2, 1.2]
