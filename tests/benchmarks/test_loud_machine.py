"""The table of stored baselines beside busy loops: what is judged, what is not, and going on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import Status

from benchmarks import loud_machine
from benchmarks.loud_machine import Measured, judged, missing, read, table, write
from benchmarks.workload import Kind
from tests.verdicts.judging import launches, recipe


def session(loops: int, factor: float = 1.0, piece: float = 1.0, kind: Kind = "onnx") -> Measured:
    """A session of an inference of 11 ms whose machine is slower by `factor`, and shows one piece
    of the yardstick slower by `piece`; launches beside a loop are unsteady.
    """
    yardstick = tuple(
        launch.model_copy(update={"values": {"pieces_4": _scaled(launch, 4 * factor / piece)}})
        for launch in launches(0.0018 * piece)
    )
    record = SuiteRecord(
        name="detector",
        folder="suites/detector",
        task="detection",
        model="detector.onnx",
        recipes=(recipe("detector", 0.011 * factor),),
        yardstick=yardstick,
        conditions=tuple(Conditions(index=index, others=0.4 * loops) for index in range(14)),
    )
    return Measured(kind, loops, record)


def _scaled(launch: Launch, factor: float) -> tuple[float, ...]:
    return tuple(factor * seconds for seconds in launch.inference)


def test_a_loud_session_is_judged_and_never_stored() -> None:
    """Two calm sessions and a loud one: each is held against the calm ones alone, and where other
    work made it slower nothing is red; without the rule the yardstick of its length says it too.
    """
    measured = [session(0), session(0, 1.02), session(2, 3.0)]
    answers = judged(measured)
    stored = [answer for answer in answers if answer.status is not None]
    assert {(answer.stored, answer.now) for answer in stored} == {(0, 0), (0, 2)}
    assert len(stored) == 2 * 2 * len(loud_machine.LIMITS)
    assert len(answers) == 3 * 2 * len(loud_machine.LIMITS)
    assert not any(answer.status is Status.FAIL for answer in answers)
    assert not any(answer.by_yardstick is Status.FAIL for answer in answers)
    lines = table(measured)
    assert lines[-2].startswith(f"unchanged code, as the product judges it: 0 red of {len(stored)}")
    assert lines[-1].startswith("by the yardstick alone, loud baselines too: 0 red of 12 ")
    assert any("1 of 1" in line for line in lines)


def test_a_session_that_failed_is_no_session() -> None:
    """What was not measured would count as not red."""
    suite = session(0).suite
    assert loud_machine.of_session("onnx", 0, suite).suite is suite
    with pytest.raises(RuntimeError, match="onnx was not measured: no launch"):
        loud_machine.of_session("onnx", 0, suite.model_copy(update={"conditions": ()}))


def test_what_is_red_is_counted() -> None:
    """Code that takes three times as long beside a yardstick that stayed is FAIL in the table."""
    slow = session(0, 3.0, piece=1.0)
    still = tuple(
        launch.model_copy(update={"values": {"pieces_4": _scaled(launch, 4.0)}})
        for launch in slow.suite.yardstick
    )
    slow = Measured("onnx", 0, slow.suite.model_copy(update={"yardstick": still}))
    red = [answer for answer in judged([session(0), slow]) if answer.status is Status.FAIL]
    assert len(red) == len(loud_machine.LIMITS)  # the slow one against the other, not the reverse
    assert "as the product judges it: 2 red of 4 " in table([session(0), slow])[-2]


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """Sessions of the file are kept; what is missing is measured, loads in turns."""
    file = tmp_path / "loud.json"
    assert read(file) == []
    measured = [session(0), session(1, 1.6)]
    write(file, measured)
    assert read(file) == measured
    assert missing(read(file), ["onnx"], 2) == [
        ("onnx", 2),
        ("onnx", 0),
        ("onnx", 1),
        ("onnx", 2),
    ]
    assert missing(read(file), ["onnx", "torch"], 1) == [
        ("torch", 0),
        ("torch", 1),
        ("onnx", 2),
        ("torch", 2),
    ]
    assert table([session(2)])[-1].endswith("no session was steady enough to be stored")


def test_loops_are_there_for_the_block_and_gone_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each core and each loop."""
    started = []
    real = loud_machine.subprocess.Popen

    def start(command: list[str]) -> object:
        process = real([command[0], "-c", "import time; time.sleep(60)"])
        started.append((command[-1], process))
        return process

    monkeypatch.setattr(loud_machine.subprocess, "Popen", start)
    monkeypatch.setattr(loud_machine, "usable_cores", lambda: [0, 1])
    begin = time.monotonic()
    with loud_machine.busy(2):
        assert [core for core, _ in started] == ["0", "0", "1", "1"]
        assert all(process.poll() is None for _, process in started)
    assert all(process.poll() is not None for _, process in started)
    assert time.monotonic() - begin < 30
