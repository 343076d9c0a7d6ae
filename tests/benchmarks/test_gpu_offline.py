"""Wheels in pieces, joined without harm; what a host lacks; runs that leave figures, and end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu_offline import __main__ as program
from benchmarks.gpu_offline import pieces, runs, wheels
from benchmarks.gpu_offline.pieces import Loads
from benchmarks.gpu_offline.runs import RUNS, Run


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    """Two files of 25 and 4 bytes in pieces of at most 10."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    loads = Loads(folder, most=10)
    (tmp_path / "large.whl").write_bytes(b"0123456789" * 2 + b"abcde")
    (tmp_path / "small.whl").write_bytes(b"wxyz")
    pieces.write_manifest(
        [loads.split(tmp_path / name, "base") for name in ("large.whl", "small.whl")], folder
    )
    return folder


def test_no_piece_and_no_load_is_larger_than_one_journey(carried: Path) -> None:
    """A small file fills what a large one left."""
    sizes = {
        load.name: sum(piece.stat().st_size for piece in load.iterdir())
        for load in carried.glob("load-*")
    }
    assert sizes == {"load-01": 10, "load-02": 10, "load-03": 9}
    assert max(pieces.PIECE_BYTES, 60_000_000) == 60_000_000


def test_files_are_whole_again_and_join_as_their_pieces_come(carried: Path, tmp_path: Path) -> None:
    """The first journey completes the small file; the large one waits for its last piece."""
    target, away = tmp_path / "wheels", tmp_path / "away"
    (carried / "load-02").rename(away)
    written, waiting = pieces.join(carried, target)
    assert [file.name for file in written] == ["small.whl"]
    assert [whole.name for whole in waiting] == ["large.whl"]
    away.rename(carried / "load-02")
    written, waiting = pieces.join(carried, target)
    assert (target / "large.whl").read_bytes() == (tmp_path / "large.whl").read_bytes()
    assert [file.name for file in written] == ["large.whl", "small.whl"]
    assert waiting == []


def test_a_damaged_piece_is_named_and_nothing_half_is_left(carried: Path, tmp_path: Path) -> None:
    """One bit on the way is enough."""
    piece = carried / "load-02" / "large.whl.002"
    piece.write_bytes(b"1" + piece.read_bytes()[1:])
    with pytest.raises(pieces.DamagedPiece, match=r"large\.whl\.002 .*next: carry it again"):
        pieces.join(carried, tmp_path / "wheels")
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == []


def test_no_manifest_is_said_with_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    assert program.main(["list", "--pieces", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pieces.json" in line
    assert line.endswith("next: python -m benchmarks.gpu_offline collect")


@given(st.sets(st.sampled_from(["torch", "Pillow", "typing_extensions", "onnx", "pydantic-core"])))
def test_what_the_host_has_is_not_brought(names: set[str]) -> None:
    """Whatever form its name has in the host's list; ONNX Runtime for the CPU never is."""
    lines = [*(f"{name}==1.0" for name in sorted(names)), "local @ file:///a/b"]
    target = wheels.Target(has=wheels.names_of(lines))
    for name in ("torch", "pillow", "typing-extensions", "onnx", "pydantic_core"):
        has = wheels.normalised(name) in {wheels.normalised(name) for name in names}
        assert target.lacks(name) is not has
    assert not target.lacks("onnxruntime")
    assert not target.lacks("nvidia-cublas")
    assert target.lacks("nvidia-ml-py")
    assert target.lacks("onnxruntime-gpu")


def test_runs_are_in_order_of_value_and_short() -> None:
    """Torch first, with the smallest wheels; each group is one that is collected."""
    assert runs.MOST_SECONDS <= 9 * 60
    assert RUNS[0].needs == ("base",)
    assert [run.name for run in RUNS[:4]] == [
        "torch-detector", "torch-classifier", "torch-classifier-32", "calibration-torch",
    ]  # fmt: skip
    assert len({run.name for run in RUNS}) == len(RUNS)
    assert {group for run in RUNS for group in run.needs} <= wheels.GROUPS.keys()
    ready, later = runs.chosen([], ["base"])
    assert ready
    assert all(run.needs == ("base",) for run in ready)
    assert len(ready) + len(later) == len(RUNS)
    with pytest.raises(ValueError, match=r"no run 'torch'; valid: torch-detector, "):
        runs.chosen(["torch"], [])


def test_commands_of_runs_are_understood_by_what_they_start() -> None:
    """Models, runtimes, workloads and paths exist under these names."""
    from benchmarks import gpu, workload

    root = wheels.ROOT
    for run in RUNS:
        command = list(run.command)
        for option, valid in (
            ("--model", gpu.MODELS),
            ("--runtime", gpu.RUNTIMES),
            ("--workload", workload.DEVICE_KINDS),
        ):
            for index, word in enumerate(command):
                if word == option:
                    assert command[index + 1] in valid
        for word in command:
            if word.startswith(("tests", "suites")):
                assert (root / word).exists(), word


def _run(code: str) -> Run:
    return Run("one", (), ("-c", code, runs._FIGURES))


def test_a_run_leaves_its_figures(tmp_path: Path) -> None:
    """What it wrote as JSON, what it printed, how it ended."""
    code = "import sys, pathlib; print('hello'); pathlib.Path(sys.argv[1], 'a.json').write_text('{\"x\": 1}'); sys.exit(3)"  # fmt: skip # noqa: E501 - a program
    record = runs.perform(_run(code), tmp_path, dict(os.environ), 60)
    assert json.loads((tmp_path / "one.json").read_text()) == record
    assert record["figures"] == {"a.json": {"x": 1}}
    assert record["printed"] == "hello\n"
    assert (record["ending"], record["exit_code"]) == ("ended", 3)


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Its figures say so, and have what it printed until then."""
    code = "import subprocess, sys; print('begun', flush=True); subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"  # fmt: skip # noqa: E501 - a program
    record = runs.perform(_run(code), tmp_path, dict(os.environ), 1.0)
    assert record["ending"] == "out of time"
    assert record["printed"] == "begun\n"
    assert record["seconds"] < 20


def test_the_host_installs_what_is_complete_and_measures_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel becomes importable by the run; a second call repeats nothing."""
    import zipfile

    wheel = tmp_path / "carried_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carried_thing.py", "VALUE = 41\n")
        info = "carried_thing-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: carried_thing\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    folder = tmp_path / "pieces"
    folder.mkdir()
    pieces.write_manifest([Loads(folder).split(wheel, "base")], folder)
    one = Run("one", ("base",), ("-c", "import carried_thing; print(carried_thing.VALUE + 1)"))
    other = Run("other", ("tensorrt",), ("-c", ""))
    monkeypatch.setattr(runs, "RUNS", (one, other))
    arguments = [
        "host",
        "--pieces",
        str(folder),
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert program.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "other: not run, needs the pieces of tensorrt" in printed
    assert "one: ended with 0" in printed
    assert json.loads((tmp_path / "out" / "one.json").read_text())["printed"] == "42\n"
    assert program.main(arguments) == 0
    assert "one: not run, its figures are there" in capsys.readouterr().out
