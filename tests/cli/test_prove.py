"""`pytest-perfgate prove`: its words, the lines that it proposes, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.cli import prove_run
from pytest_perfgate.cli.main import main
from pytest_perfgate.cli.prove_lines import line, lines_for
from pytest_perfgate.cli.prove_record import Cell, Proof, Row
from pytest_perfgate.cli.prove_words import words
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.proving.catalogue import FAULTS
from pytest_perfgate.records.recipe import Budget
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.metrics import metrics_of

SUITE = """
[suite]
task = "detection"
model = "model:build"
data = { validation = "data:all" }

[[recipe]]
name = "fp32"
runtime = "torch"

[[recipe]]
name = "int8"
from = "fp32"
[recipe.budgets]
"""

MACHINE = Machine(cpu="Test CPU", features=(), cores=2, memory=8, os="Linux")
METRICS = metrics_of("detection")


def budgets(folder: Path, text: str) -> dict[str, Budget]:
    """The budgets of a recipe with these lines, by metric."""
    (folder / "recipes.toml").write_text(f"{SUITE}{text}\n")
    suite = reading.read(folder / "recipes.toml", folder).suite
    assert suite is not None
    return {budget.metric: budget for budget in suite.recipes["int8"].budgets}


@pytest.mark.parametrize(
    "text",
    [
        "map = { drop = 0.015, regression = 0.005 }",
        'latency_p50 = { speedup = 1.5, regression = { base = "8%", stored = "20%" }, '
        'when = { cpu = "avx512_vnni", cores = 4 } }',
        'peak_memory = { max = "400 MB", growth = "-50%" }',
        "map50 = { per_class = { min = 0.3, drop = 0.05 } }",
    ],
)
def test_a_budget_is_a_line_that_is_read_as_the_same_budget(text: str, tmp_path: Path) -> None:
    """It can be pasted."""
    (budget,) = budgets(tmp_path, text).values()
    (again,) = budgets(tmp_path, line(budget)).values()
    assert again == budget


def verdict(status: Status) -> Verdict:
    """A verdict of that status."""
    return Verdict(recipe="int8", metric="map", status=status, unit="", reason="measured")


def proposed(
    folder: Path, fault: str, own: str, kind: str = "", **red_from: float
) -> tuple[str, ...]:
    """Lines for a fault that is red where a limit, of that kind, is at most `red_from[metric]`."""

    def judged(budget: Budget) -> Verdict:
        limit = budget.limits[-1]
        narrow = limit.value <= red_from.get(budget.metric, -1.0) and kind in limit.kind.value
        return verdict(Status.FAIL if narrow else Status.PASS)

    return lines_for(
        FAULTS[fault].metrics,
        budgets(folder, own),
        METRICS,
        RecipeRecord(name="int8", reference="fp32", load_time_cold=0.2),
        is_reference=False,
        fault=judged,
        unchanged=lambda _: verdict(Status.PASS),
    )


def test_the_widest_limit_that_sees_a_fault_is_proposed(tmp_path: Path) -> None:
    """On the best metric; it joins the limits that the budget has."""
    own = 'latency_p50 = { speedup = 1.5, regression = "10%" }'
    assert proposed(tmp_path, "scores_halved", own, score_shift=0.05) == (
        "score_shift = { max = 0.05 }",
    )
    assert proposed(tmp_path, "slow_inference_5_percent", own, latency_p50=0.045) == (
        'latency_p50 = { speedup = 1.5, regression = "4%" }',
    )
    assert proposed(tmp_path, "first_inference_slow", own, load_time_cold=0.27) == (
        'load_time_cold = { max = "260 ms" }',
    )
    assert proposed(tmp_path, "grey", "map = { drop = 0.1 }", "regression", map=0.02) == (
        "map = { drop = 0.1, regression = 0.02 }",
    )
    assert proposed(tmp_path, "scores_halved", own) == ()


def row(name: str, *cells: Cell, **more: object) -> Row:
    """A row of the matrix."""
    return Row.model_validate({"name": name, "what": f"does {name}", "cells": cells, **more})


def proof(*faults: Row, harmless: tuple[Row, ...] = ()) -> Proof:
    """A proof of a recipe with two budgets, one of which is red before."""
    return Proof(
        suite="cars",
        recipe="int8",
        machine=MACHINE,
        budgets={"map": "map = { drop = 0.01 }", "latency_p50": "latency_p50 = { speedup = 2 }"},
        before={"latency_p50": "1.2 times faster"},
        faults=faults,
        harmless=harmless,
        launches=20,
        seconds=61.0,
    )


def test_the_matrix_says_who_sees_what() -> None:
    """A budget that is red without a fault counts for nothing; what is not seen has a line."""
    red = Cell(metric="map", status=Status.FAIL, reason="worse")
    kept = Cell(metric="map", status=Status.PASS)
    before = Cell(metric="latency_p50", status=Status.FAIL, counts=False)
    result = proof(
        row("grey", red, before),
        row("scores_halved", kept, before, lines=("score_shift = { max = 0.1 }",)),
        row("best_only", absent="Called has no boxes"),
        row("leak", Cell(metric="map", status=Status.ERROR, reason="it hangs"), before),
        harmless=(
            row("copied_9", kept, Cell(metric="latency_p50"), timed=9),
            row("renamed_1", red),
        ),
    )
    text = "\n".join(words(result))
    assert [one.name for one in result.unseen] == ["scores_halved"]
    assert [one.name for one in result.false_alarms] == ["renamed_1"]
    for part in (
        "grey           FAIL   (FAIL)  map",
        "scores_halved  pass   (FAIL)  NOBODY",
        "red without any fault, counts for nothing: 1.2 times faster",
        "2 harmless changes: 1 red (1 timed in 9 launches",
        "renamed_1 turns map red: worse",
        "best_only: Called has no boxes",
        "# sees scores_halved\nscore_shift = { max = 0.1 }",
        "leak           ERROR  (FAIL)  every budget: ERROR",
        "leak: it hangs",
        "2 of 3 faults seen, 1 of 2 harmless changes red, 20 launches, 61 s",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["int9"], "there is no recipe 'int9'"),
        (["--fault", "graey"], "did you mean 'grey'?"),
        (["int8", "--json", "nowhere/file.json"], "its folder does not exist"),
    ],
)
def test_what_cannot_be_proven_is_two(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unknown recipe, fault or folder is an error with the next step, before anything runs."""
    budgets(tmp_path, "map = { drop = 0.01 }")
    monkeypatch.chdir(tmp_path)
    assert main(["prove", *arguments, "--suites", "."]) == 2
    assert problem in capsys.readouterr().err


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what each does."""
    assert main(["prove", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in lines] == list(FAULTS)


def test_an_interrupt_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 130, and no file is written."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    budgets(tmp_path, "map = { drop = 0.01 }")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prove_run, "prove", interrupted)
    assert main(["prove", "int8", "--suites", ".", "--json", "proof.json"]) == 130
    assert "interrupted: no result" in capsys.readouterr().err
    assert not (tmp_path / "proof.json").exists()
