"""Ranges in a recipe: searched where that is asked, reused, continued, and never best effort."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.cli.main import main
from pytest_perfgate.suite import reading

from tests.conftest import Project, said

pytest.importorskip("optuna", reason="python -m pip install 'pytest-perfgate[search]'")

SEARCH = ("--perf-search", "-p", "short_launches")
"""Paces and boxes of the trials differ several times over: a few rounds tell them apart."""

SUITE = """\
[suite]
task  = "detection"
model = "squares.onnx"
batch = 4

[suite.data]
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"

# Which pace is best is not known yet.
[[recipe]]
name    = "searched"
from    = "plain"
runtime = { name = "paced", pace = PACE, shift = { search = { choices = [0, 9] } } } # two
search  = { trials = 20, seed = 1 }
[recipe.budgets]
map = { drop = 0.05 }
"""
PACE = "{ search = { low = 0.002, high = 0.008, step = 0.006 } }"
SUITE = SUITE.replace("PACE", PACE)


@pytest.fixture
def searched(project: Project) -> Project:
    """The tiny project with a recipe whose runtime has ranges."""
    project.write(SUITE)
    return project


def recipe(project: Project, name: str = "searched") -> dict[str, Any]:
    """What the last session recorded of it."""
    (suite,) = project.sessions()[-1]["suites"]
    return next(each for each in suite["recipes"] if each["name"] == name)


def studied(project: Project) -> list[dict[str, Any]]:
    """Every trial whose end the cache has, from the lines of its journals."""
    ended = []
    for journal in sorted((project.root / ".perfgate" / "searches").rglob("journal.log")):
        trials: dict[int, dict[str, Any]] = {}
        for line in journal.read_text().splitlines():
            entry = json.loads(line)
            number, trial = entry.get("trial_id"), entry.get("user_attr", {}).get("trial")
            if trial:
                trials[number] = trial
            elif "state" in entry and number in trials:  # told after what became of it
                ended.append(trials.pop(number))
    return ended


@pytest.fixture
def freeze(searched: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`pytest-perfgate freeze searched` in the project: its exit code, and what it said."""
    assert Path.cwd() == searched.root

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["freeze", "searched", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_what_wins_is_a_recipe_like_any_other(
    searched: Project, freeze: Callable[..., tuple[int, str]]
) -> None:
    """Killed after its first trials, it makes the others, repeats none, and is reused then."""
    command = [sys.executable, "-m", "pytest", "--perf", "--perf-wait=300", *SEARCH]
    options = {"cwd": searched.root, "stdout": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen([*command, "-k", "searched"], **options) as process:  # type: ignore[call-overload] # as a dict, mypy does not see the overload
        deadline = time.monotonic() + 120
        while not studied(searched) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    before = studied(searched)
    assert 1 <= len(before) < 4
    assert f"{len(before)} of 4 trials" in freeze()[1]

    result = searched.run(*SEARCH, "-k", "searched", "--perf-seconds=60", page=True)
    found = recipe(searched)["search"]
    assert found["trials"][: len(before)] == before
    assert len({json.dumps(each["values"]) for each in found["trials"]}) == 4 == found["asked"]
    assert found["fresh"] == 4 - len(before)
    said(result, "trial 4 of 4", "which won")
    won = found["trials"][found["winner"] - 1]
    assert won["values"] == {"runtime.pace": 0.002, "runtime.shift": 0}
    shifted = [each for each in found["trials"] if each["values"]["runtime.shift"] == 9]
    assert all("drop 0.05 is broken" in each["reason"] for each in shifted)
    assert found["winner"] in found["front"]
    assert recipe(searched)["spec"]["runtime"]["options"]["pace"] == 0.002
    assert len(recipe(searched)["launches"]) >= 4  # measured anew, in the ordinary rounds
    assert searched.verdicts() == {"searched-map": "PASS"}
    (page,) = (searched.root / "reports").glob("2*.html")
    assert "Trials of searched" in page.read_text()

    searched.run("-k", "searched")
    assert recipe(searched)["search"]["fresh"] == 0
    assert recipe(searched)["search"]["trials"] == found["trials"]

    file = searched.suite / "recipes.toml"
    code, printed = freeze()
    assert code == 0, printed
    assert "pace = 0.002, shift = 0 } # two" in printed
    assert file.read_text() == SUITE
    read = reading.read(file, searched.root)
    filled = reading.filled(read, searched.root, "searched", won["values"])
    assert freeze("--write")[0] == 0
    frozen = reading.read(file, searched.root).suite
    assert frozen is not None
    assert frozen.recipes["searched"] == filled
    assert "# Which pace is best is not known yet." in file.read_text()
    assert "'searched' has no ranges, nothing to freeze" in freeze()[1]


def test_nothing_is_searched_unless_that_is_asked(
    searched: Project, freeze: Callable[..., tuple[int, str]]
) -> None:
    """A gate must not take ten minutes by surprise: without a study the recipe is an error."""
    result = searched.run("-k", "searched")
    assert searched.verdicts() == {"searched-map": "ERROR"}
    assert studied(searched) == []
    said(result, "the search for its values is not finished: none was tried", "--perf-search")
    assert "search for its values is not finished" in freeze()[1]


@pytest.mark.slow
def test_no_trial_that_keeps_the_budgets_is_an_error_with_every_reason(
    searched: Project, freeze: Callable[..., tuple[int, str]]
) -> None:
    """Never the best of what is not good enough."""
    broken = SUITE.replace("[0, 9]", "[9, 12]").replace(
        "{ search = { low = 0.002, high = 0.008, step = 0.006 } }",
        "0.002, breaks = { search = { choices = [true, false] } }",
    )
    searched.write(broken)
    result = searched.run(*SEARCH, "-k", "searched")
    assert searched.verdicts() == {"searched-map": "ERROR"}
    said(result, "none of 4 trials keeps the budgets", "it broke (2 times)")
    told = recipe(searched)
    assert told["launches"] == []
    assert told["search"]["winner"] is None
    unbuilt = [each for each in told["search"]["trials"] if not each["built"]]
    assert [each["values"]["runtime.breaks"] for each in unbuilt] == [True, True]
    measured = [each for each in told["search"]["trials"] if each["built"]]
    assert all(each["level"] > 0 and each["score"] < 0.5 for each in measured)
    assert "none of 4 trials" in freeze("--write")[1]
    assert (searched.suite / "recipes.toml").read_text() == broken


@pytest.mark.slow
def test_a_search_that_chose_nothing_had_no_effect(searched: Project) -> None:
    """Time for one trial is no search: the proof fails, and the recipe with it."""
    searched.write(SUITE.replace("seed = 1", 'seconds = "100 ms"'))
    result = searched.run(*SEARCH, "-k", "searched")
    assert searched.verdicts() == {"searched-map": "ERROR"}
    said(result, "the search had no effect: 1 of 4 trials ended in 0.1 s")


@pytest.mark.slow
def test_values_for_a_score_are_chosen_by_a_set_of_their_own(searched: Project) -> None:
    """The best on the set wins, without a launch of its own; verdicts are on the validation
    images.
    """
    text = SUITE.replace(PACE, "0.002").replace("seed = 1", 'metric = "map@tuning"')
    tuning = '[suite.data.sets]\ntuning = { images = "calibration", annotations = "ANNOTATIONS" }'
    tuning = tuning.replace("ANNOTATIONS", "calibration.json")
    searched.write(text.replace("[[recipe]]", f"{tuning}\n\n[[recipe]]", 1))
    result = searched.run(*SEARCH, "-k", "searched")
    search = recipe(searched)["search"]
    assert (search["metric"], search["unit"]) == ("map@tuning", "score")
    by_shift = {trial["values"]["runtime.shift"]: trial for trial in search["trials"]}
    plain, shifted = by_shift[0], by_shift[9]
    assert search["winner"] == plain["number"]
    assert plain["ratio"] == 0.0 < shifted["ratio"]
    assert plain["levels"] == shifted["levels"] == {}
    assert searched.verdicts() == {"searched-map": "PASS"}
    said(result, "highest map@tuning", "map@tuning 1.0000 (+0.0000)", "which won")
