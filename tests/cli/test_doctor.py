"""`pytest-perfgate doctor`: what it measures, computes, advises and says, and how it ends."""

from __future__ import annotations

import io
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from pytest_perfgate.cli import doctor_examination
from pytest_perfgate.cli.doctor_advice import advice
from pytest_perfgate.cli.doctor_examination import Examination
from pytest_perfgate.cli.doctor_noise import TOLERANCES, Answer, answer, is_calm, noise_of
from pytest_perfgate.cli.doctor_words import words
from pytest_perfgate.cli.main import main
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.machine.host_setup import Busy, Surroundings
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.stats.variance import launches_needed, launches_to_keep
from pytest_perfgate.verdicts.limit_bounds import LEAST_SD


def launches(within: float, pair: float, count: int = 60) -> list[dict[str, Launch]]:
    """Launches of two pairs of arms; logs of rounds vary by `within`, those of arms by `pair`."""
    generator = random.Random(1)  # noqa: S311 - made-up measurements, no secret
    made = []
    for index in range(count):
        arms = {}
        for name in ("a0", "b0", "a1", "b1"):
            level = generator.gauss(0, pair / math.sqrt(2))
            noise = [generator.gauss(0, within / math.sqrt(2)) for _ in range(25)]
            times = tuple(0.004 * math.exp(level + each) for each in noise)
            zeros = (0.0,) * len(times)
            arms[name] = Launch(
                index=index,
                core=0,
                started=0.0,
                load_time=0.0,
                preprocess=zeros,
                inference=times,
                postprocess=zeros,
            )
        made.append(arms)
    return made


def examination(**more: object) -> Examination:
    """What a made-up machine looks like."""
    noise = noise_of(launches(0.02, 0.01, 4))
    values = {
        "machine": Machine(cpu="Test CPU", features=(), cores=2, memory=8, os="Linux"),
        "surroundings": Surroundings(),
        "seconds": 60.0,
        "launch_seconds": 0.7,
        "noise": noise,
        "answers": tuple(answer(each, noise.p50, 0.7) for each in TOLERANCES),
        "conditions": (Conditions(index=0),),
        "busy": (),
        "advice": (),
        "calm": True,
    }
    return Examination.model_validate(values | more)


def test_noise_is_found_in_its_parts() -> None:
    """What was put in between rounds and between pairs comes out again."""
    found = noise_of(launches(0.04, 0.02))
    assert (found.launches, found.pairs, found.rounds) == (60, 120, 25)
    assert found.within == pytest.approx(0.04, rel=0.1)
    assert found.between == pytest.approx(0.02, rel=0.25)
    assert found.p50 == pytest.approx(math.sqrt(0.02**2 + 1.57 * 0.04**2 / 25), rel=0.25)
    assert found.p95 > found.p50


def test_a_tolerance_costs_what_the_statistics_say() -> None:
    """Launches by `launches_needed`, seconds by their length; smaller tolerances cost more."""
    found = answer(0.05, 0.02, 0.5)
    assert found.fail_launches == launches_needed(0.02, 0.05, 0.01, 0.8)
    assert found.pass_launches == launches_to_keep(0.02, 0.05, 0.05, 0.8)
    assert found.fail_seconds == pytest.approx((found.fail_launches or 0) * 0.5)
    costs = [answer(each, 0.03, 0.5).fail_seconds or math.inf for each in TOLERANCES]
    assert costs == sorted(costs, reverse=True)
    assert answer(0.01, 0.3, 1.0).fail_seconds is None
    assert answer(0.05, 0.0, 0.5) == answer(0.05, LEAST_SD, 0.5)


def test_calm_is_both_answers_at_five_percent_within_a_minute() -> None:
    """A minute is enough, more is not, and neither is an answer that never comes."""

    def at(tolerance: float, fail: float | None, keep: float | None) -> Answer:
        return Answer(
            tolerance=tolerance,
            fail_launches=None,
            fail_seconds=fail,
            pass_launches=None,
            pass_seconds=keep,
        )

    assert is_calm([at(0.02, None, None), at(0.05, 60.0, 60.0)])
    for fail, keep in ((60.1, 5.0), (5.0, 60.1), (None, 5.0), (5.0, None)):
        assert not is_calm([at(0.05, fail, keep), at(0.1, 1.0, 1.0)])
    assert not is_calm([])


def test_advice_comes_in_the_order_of_its_effect() -> None:
    """A quota that stops launches, then a busy process, then the governor."""
    found = Surroundings(governor="powersave", quota=1.5, siblings=True, boost=True, swap_used=9)
    conditions = [Conditions(index=index, quota_stopped=0.2, stolen=0.03) for index in range(3)]
    busy = [Busy(pid=7, name="indexer", share=0.3)]
    lines = advice(found, conditions, busy, cores=1)
    expected = ["quota of 1.5", "process 7 (indexer) used 30.0 %", "hypervisor", "powersave"]
    expected += ["SMT", "boost", "one core", "swapped out"]
    assert len(lines) == len(expected)
    for line, word in zip(lines, expected, strict=True):
        assert word in line
    assert advice(Surroundings(), [Conditions(swapped_in=9, throttle_events=2)], [], 2)[0].count(
        "9 pages"
    )
    others = advice(Surroundings(), [Conditions(others=0.2)], [], 2)
    assert "20.0 %" in others[0]


def test_a_calm_machine_gets_no_advice() -> None:
    """What is as it should be, or cannot be read, is not talked about."""
    fine = Surroundings(governor="performance", boost=False, siblings=False, swap_used=0)
    assert advice(fine, [Conditions(others=0.0, stolen=0.0, quota_stopped=0.0)], [], 2) == ()
    assert advice(Surroundings(), [], [], 2) == ()


def test_words_say_noise_conditions_table_and_answer() -> None:
    """Every part is there; what was not measured is said so; both answers have their words."""
    text = "\n".join(words(examination(advice=("do this", "then that"))))
    assert "a launch's median" in text
    assert "  stolen               not measured" in text
    assert "  1. do this\n  2. then that" in text
    assert "calm enough: a tolerance of 5 % is decided within 60 s" in text
    rough = tuple(answer(each, 0.9, 5.0) for each in TOLERANCES)
    text = "\n".join(words(examination(calm=False, answers=rough)))
    assert "not within 10 minutes" in text
    assert "no known cause of noise was observed" in text
    assert text.endswith("not calm enough: a tolerance of 5 % is not decided within 60 s")


@pytest.mark.parametrize(
    ("disturbed", "word"),
    [
        ({"others": 0.4}, "other processes used 40.0 % of the cores' time"),
        ({"stolen": 0.1}, "the hypervisor gave 10.0 %"),
        ({"waited": 0.5}, "it waited 50.0 % of the time for its core"),
    ],
)
def test_a_loud_machine_is_not_calm_however_alike_its_arms_are(
    monkeypatch: pytest.MonkeyPatch, disturbed: dict[str, float], word: str
) -> None:
    """Recorded conditions of two launches beside arms whose times agree; one of three is let go."""

    class Recorded(doctor_examination._Taken):
        kinds: tuple[dict[str, float], ...] = (disturbed, disturbed)

        def launch(self, started: float) -> None:
            self.walls.append(0.5)
            self.launches += launches(0.005, 0.001, 1)
            self.conditions = [
                Conditions(index=index, **kind) for index, kind in enumerate(self.kinds)
            ]
            assert started >= 0.0

    monkeypatch.setattr(doctor_examination, "_Taken", Recorded)
    loud = doctor_examination.examine(0.0, 300.0, lambda _: None)
    assert is_calm(loud.answers)
    assert not loud.calm
    text = "\n".join(words(loud))
    assert f"not calm enough: 2 of 2 launches were unsteady ({word}" in text
    Recorded.kinds = (disturbed, {}, {})
    assert doctor_examination.examine(0.0, 300.0, lambda _: None).calm


def test_seconds_says_how_long_it_measures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However short the time, there are two launches; a longer one has more."""

    class Quick(doctor_examination._Taken):
        def launch(self, started: float) -> None:
            time.sleep(0.05)
            self.walls.append(0.05)
            self.launches += launches(0.005, 0.001, 1)
            self.conditions.append(Conditions(index=len(self.conditions)))
            assert started >= 0.0

    monkeypatch.setattr(doctor_examination, "_Taken", Quick)
    file = tmp_path / "found.json"
    counts = []
    for seconds in ("0", "0.5"):
        main(["doctor", "--seconds", seconds, "--wait", "300", "--json", str(file)])
        counts.append(json.loads(file.read_text())["noise"]["launches"])
    assert counts[0] == 2
    assert counts[1] > 2


@pytest.mark.alone
def test_beside_two_busy_loops_per_core_it_is_not_calm() -> None:
    """Live: two launches of eight arms, and the answer names what was beside them."""
    loops = [
        subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
        for core in usable_cores()
        for _ in range(2)
    ]
    try:
        examined = doctor_examination.examine(0.0, 300.0, lambda _: None)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert not examined.calm
    assert "launches were unsteady" in examined.unsteady


@pytest.mark.parametrize(("calm", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_it_is_calm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], calm: bool, code: int
) -> None:
    """0 for calm enough, 1 for not."""
    monkeypatch.setattr(doctor_examination, "examine", lambda *_: examination(calm=calm))
    assert main(["doctor"]) == code
    assert "seconds per verdict" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seconds", "-1"), ("--seconds", "long"), ("--seconds", "nan"), ("--wait", "inf")],
)
def test_a_time_that_makes_no_sense_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """The code is 2, and the message names the option and the value."""
    with pytest.raises(SystemExit) as caught:
        main(["doctor", option, value])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert option in said
    assert repr(value) in said


def test_the_help_says_what_it_does_and_its_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lines stay as they were written, and every option has its default."""
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "\n           2 wrong usage\n" in said
    for option in ("--seconds S", "--json FILE", "--wait S", "--installed", "--baselines"):
        assert option in said


def test_installed_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--installed` ends with what is there."""
    monkeypatch.setattr(doctor_examination, "examine", lambda *_: pytest.fail("it measured"))
    assert main(["doctor", "--installed"]) == 0
    assert "baselines" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_said_before_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No minute is spent on it."""
    monkeypatch.setattr(doctor_examination, "examine", lambda *_: pytest.fail("it measured"))
    assert main(["doctor", "--json", "nowhere/found.json"]) == 1
    assert "nowhere/found.json: its folder does not exist" in capsys.readouterr().err


def test_an_arm_that_dies_is_an_error_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be measured is never calm."""
    before = os.environ.get("PYTHONPATH", "")
    (tmp_path / "numpy.py").write_text("raise RuntimeError('no numpy today')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), before])))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert main(["doctor", "--seconds", "0"]) == 1
    assert "no numpy today" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_progress_is_a_line_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written over, and wiped at the end; its words go to standard error."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "__stderr__", terminal)

    def examine(_seconds: float, _wait: float, tell: Progress) -> Examination:
        tell("launch 1, 0 of 60 s")
        tell("launch 2")
        return examination()

    monkeypatch.setattr(doctor_examination, "examine", examine)
    assert main(["doctor"]) == 0
    said = terminal.getvalue()
    assert "\rlaunch 1, 0 of 60 s\rlaunch 2           \r" in said
    assert said.endswith(" \r")
