"""Faults planted in a project's own recipe: one that its budgets see, one that they do not."""

from __future__ import annotations

import json
import tomllib

import pytest
from pytest_perfgate.cli.main import main

from tests.conftest import Project
from tests.squares import HEAD, PLAIN

LENIENT = (
    HEAD
    + PLAIN
    + """\
[[recipe]]
name    = "lenient"
from    = "plain"
[recipe.budgets]
map           = { drop = 0.3 }
artifact_size = { max = "1 MB" }
"""
)
FAULTS = ("class_dropped", "scores_halved", "not_finite", "best_only", "calibration_noise")


def test_a_gate_sees_a_fault_and_the_line_that_would_see_another(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without objects map is lost; half the scores rank as before, and the line that is printed
    sees them. What cannot be planted says why. Nothing is stored but the cache.
    """
    project.write(LENIENT)
    monkeypatch.chdir(project.root)
    before = {file for file in project.root.rglob("*") if ".perfgate" not in file.parts}
    options = [word for name in FAULTS for word in ("--fault", name)]
    command = ["prove", "tiny/lenient", "--harmless", "0", "--wait", "300", *options]
    assert main([*command, "--json", "proof.json"]) == 1
    text = capsys.readouterr().out
    proof = json.loads((project.root / "proof.json").read_text())
    rows = {row["name"]: row for row in proof["faults"]}
    cells = {
        name: {cell["metric"]: cell["status"] for cell in row["cells"]}
        for name, row in rows.items()
    }
    assert cells["class_dropped"] == {"map": "FAIL", "artifact_size": "PASS"}
    assert cells["scores_halved"] == {"map": "PASS", "artifact_size": "PASS"}
    assert cells["not_finite"] == {"map": "ERROR", "artifact_size": "ERROR"}
    assert "no step of the recipe reads calibration images" in rows["calibration_noise"]["absent"]
    assert "onnxruntime computes something else" in text
    (line,) = rows["scores_halved"]["lines"]
    assert f"# sees scores_halved\n{line}" in text
    after = {file for file in project.root.rglob("*") if ".perfgate" not in file.parts}
    assert after - before == {project.root / "proof.json"}
    assert not list((project.root / ".perfgate" / "prove").iterdir())
    assert tomllib.loads(line)["score_shift"]["max"] > 0

    project.write(LENIENT.replace("map           = { drop = 0.3 }", line))
    command[3] = "10"
    assert main([*command[:6], "--fault", "scores_halved"]) == 0
    text = capsys.readouterr().out
    assert "1 of 1 fault seen, 0 of 10 harmless changes red, 0 launches" in text


def test_a_fault_of_times_takes_turns_with_the_recipe(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two launches prove no slowdown, so that the budget stays open and the fault is not seen; a
    batch that is frozen leaves no throughput, whatever the number of launches.
    """
    project.write(HEAD + PLAIN + 'throughput = { regression = "50%" }\n')
    monkeypatch.chdir(project.root)
    faults = ("--fault", "slow_inference", "--fault", "frozen_batch")
    command = ("prove", "--harmless", "0", "--wait", "300", "--seconds", "0", *faults)
    assert main([*command, "--json", "proof.json"]) == 1
    slow, frozen = json.loads((project.root / "proof.json").read_text())["faults"]
    cells = {cell["metric"]: cell["status"] for cell in slow["cells"]}
    assert cells["latency_p50"] == "INCONCLUSIVE"
    assert slow["timed"] == 1
    assert slow["size"].startswith("+")
    assert {cell["metric"] for cell in frozen["cells"] if cell["status"] == "ERROR"} == {
        "throughput"
    }
    assert "1 of 2 faults seen, 0 of 0 harmless changes red, 2 launches" in capsys.readouterr().out
