"""The benchmark of the load generator: its server and its rows; a miss is red."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import load_generator
from benchmarks.load_generator import Row


def test_the_generator_runs_against_the_server_that_does_nothing() -> None:
    """All requests are answered; how late the loop may be is the benchmark's own question."""
    pytest.importorskip("httptools", reason="python -m pip install 'pytest-perfgate[serving]'")
    with load_generator.null_server(None) as port:
        row = load_generator.open_loop_at(port, rate=200.0, seconds=0.3)
    assert row.achieved is not None
    assert row.achieved > 100
    assert row.offered == 200.0


def test_a_rate_that_is_not_kept_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The target is kept by a row at it or above it; the rows reach the file."""
    kept = Row("open loop", 5_000.0, 4_990.0, 1e-6, 1e-5, kept=True, cpu=1e-4)
    late = Row("open loop", 7_500.0, 7_000.0, 1e-3, 1e-2, kept=False, cpu=1e-4)
    file = tmp_path / "rows.json"
    for rows, code in (([kept, late], 0), ([late], 1)):
        monkeypatch.setattr(load_generator, "rows_of", lambda _, rows=rows: rows)
        assert load_generator.main(["--quick", "--json", str(file)]) == code
        assert [row["kept"] for row in json.loads(file.read_text())] == [row.kept for row in rows]
    out = capsys.readouterr().out
    assert out.count("NOT KEPT") == 2
    assert "kept: 0 requests/s (target: 5,000), MISSED" in out
