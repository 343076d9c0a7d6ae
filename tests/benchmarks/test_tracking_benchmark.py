"""The benchmark of evaluated tracks: equal values first, and a miss is red."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import tracking
from benchmarks.tracking import values_of_ours


def test_a_missed_target_and_other_values_are_exit_codes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values are compared before any time is taken; figures reach the file."""
    monkeypatch.setattr(tracking, "_SIZES", ((20, 4),))
    monkeypatch.setattr(tracking, "values_of_trackeval", values_of_ours)
    file = tmp_path / "ratios.json"
    monkeypatch.setattr(tracking, "in_turns", lambda *_: (1.0, 1.0))
    assert tracking.main(["--json", str(file)]) == 0
    assert json.loads(file.read_text())[0]["ratio"] == 1.0
    monkeypatch.setattr(tracking, "in_turns", lambda *_: (1.1, 1.0))
    assert tracking.main([]) == 1
    assert "MISSED" in capsys.readouterr().out
    monkeypatch.setattr(tracking, "values_of_trackeval", lambda _: {"hota": 2.0})
    assert tracking.main([]) == 1
    assert "values differ" in capsys.readouterr().out
