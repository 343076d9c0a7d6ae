"""`--perf-base REF`: both versions of the code in the same launches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.machine.held_folders import held_folder

from tests.conftest import DECIDED, Project, hear_ctrl_c, said
from tests.measure.test_base_environment import wheel

SLOW = '''\
"""A runtime of the project itself, so that each version of the code has its own."""

import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession

SECONDS = {seconds}


class Slow(OnnxRuntime):
    name = "slow"

    def open(self, artifact, options, context):
        return SlowSession(artifact, options, context)


class SlowSession(OnnxSession):
    def run(self, batch):
        end = time.perf_counter() + SECONDS
        outputs = super().run(batch)
        time.sleep(max(0.0, end - time.perf_counter()))
        return outputs
'''

RECIPES = """\
[suite]
task  = "detection"
model = "squares.onnx"
batch = 4

[suite.data]
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "slow"
runtime = "slow"
[recipe.budgets]
latency_p50 = { regression = "10%" }
map         = { regression = 0.01 }
"""


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def versions(project: Project) -> Project:
    """The project in a repository of one commit, its runtime in its own code."""
    site = project.root / "site" / "slow-1.0.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[pytest_perfgate.runtimes]\nslow = slow:Slow\n")
    project.write(RECIPES)
    write_slow(project, 0.004)
    (project.root / ".gitignore").write_text(
        "site\nreports\n__pycache__\n.cache\nrunpytest-*\nstdout\nstderr\n"
    )
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "first")
    return project


def write_slow(project: Project, seconds: float) -> None:
    """How long an inference takes at this version of the code."""
    (project.root / "slow.py").write_text(SLOW.format(seconds=seconds))


def trace(root: Path) -> tuple[str, ...]:
    """What a checkout could leave behind in a repository or beside it."""
    base = root / ".perfgate" / "base"
    return (
        git(root, "status", "--porcelain"),
        git(root, "worktree", "list"),
        git(root, "branch", "--all"),
        git(root, "stash", "list"),
        *sorted(path.name for path in base.iterdir() if base.is_dir()),
    )


def suite(project: Project) -> dict[str, Any]:
    """The only suite of the last session."""
    found: dict[str, Any] = project.sessions()[-1]["suites"][0]
    return found


SLOWER = (*DECIDED, "-p", "three_launches")
"""Options where a limit beside the base is broken by far: three launches prove that."""

ONE_IN_FOUR = '''\
"""The same runtime, but every fourth inference waits."""

import itertools
import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession


class Slow(OnnxRuntime):
    name = "slow"

    def open(self, artifact, options, context):
        return SlowSession(artifact, options, context)


class SlowSession(OnnxSession):
    numbers = itertools.count()

    def run(self, batch):
        time.sleep(0.04 if next(self.numbers) % 4 == 3 else 0.004)
        return super().run(batch)
'''


def test_few_slow_images_are_red_while_the_median_stays(versions: Project) -> None:
    """One image in four takes several times as long: a budget on the tail is broken, and terminal
    and page say by how much, beside the median.
    """
    versions.write(RECIPES.replace('latency_p50 = { regression = "10%" }', TAIL_BUDGET))
    (versions.root / "slow.py").write_text(ONE_IN_FOUR)
    result = versions.run("--perf-base", "HEAD", "-k", "latency_tail", *SLOWER, page=True)
    assert versions.verdicts() == {"slow-latency_tail": "FAIL"}
    text = " ".join(result.stdout.str().split())
    (page,) = versions.root.glob("reports/[0-9]*.html")
    for shown in (text, page.read_text()):
        assert "the slowest twentieth of the images takes" in shown
        assert "times as long; median" in shown
    assert "slowest twentieth beside the base (median): slow +" in text


TAIL_BUDGET = 'latency_tail = { regression = "100%" }'


STEADY = ("-p", "short_launches", "-p", "calm")
"""Options of sessions whose inferences end at a time, whatever else this machine does."""


def test_a_change_that_slows_the_code_down_is_red_without_a_baseline(versions: Project) -> None:
    """Twice as slow as the last commit: FAIL, with the commit named, and no trace is left."""
    before = trace_before(versions)
    write_slow(versions, 0.008)
    result = versions.run("--perf-base", "HEAD", "--perf-seconds", "60", *STEADY)
    assert versions.verdicts() == {"slow-latency_p50": "FAIL", "slow-map": "PASS"}
    commit = git(versions.root, "rev-parse", "HEAD")
    said(result, f"base HEAD ({commit[:10]})", "regression 10% is broken", "unchanged copy of slow")
    write_slow(versions, 0.004)
    assert trace(versions.root) == before
    limit = suite(versions)["verdicts"][0]["limits"][0]
    assert 1.2 < limit["estimate"] < 3.0
    assert limit["sample"] >= 8  # what the error bound asks for
    assert suite(versions)["base"]["commit"] == commit


def trace_before(project: Project) -> tuple[str, ...]:
    """As `trace`, with the folder that a session makes there already."""
    (project.root / ".perfgate" / "base").mkdir(parents=True)
    return trace(project.root)


def test_an_unchanged_tree_is_green(versions: Project) -> None:
    """The same code on both sides: PASS, and both arms are in the record with equal launches. The
    limit is wide: a neighbour delays the end of a sleep by a tenth.
    """
    versions.write(RECIPES.replace("10%", "100%"))
    git(versions.root, "commit", "--all", "--quiet", "--message", "a wide limit")
    versions.run("--perf-base", "main", "--perf-seconds", "60", *STEADY)
    assert versions.verdicts() == {"slow-latency_p50": "PASS", "slow-map": "PASS"}
    here, there = suite(versions)["recipes"][0], suite(versions)["base"]["recipes"][0]
    assert [each["index"] for each in here["launches"]] == [
        each["index"] for each in there["launches"]
    ]


def test_each_arm_imports_its_own_version(versions: Project) -> None:
    """What the code is slower by shows in that arm only, whichever side it is on. A model that git
    does not hold is the same for both, and is named.
    """
    (model,) = versions.root.rglob("squares.onnx")
    git(versions.root, "rm", "--quiet", "--cached", str(model))
    git(versions.root, "commit", "--quiet", "--message", "no model")
    write_slow(versions, 0.008)
    versions.run("--perf-base", "HEAD")
    (record,), (base,) = suite(versions)["recipes"], suite(versions)["base"]["recipes"]
    assert min(record["launches"][0]["inference"]) >= 0.008
    assert min(base["launches"][0]["inference"]) < 0.008
    notes = "\n".join(suite(versions)["notes"])
    assert "files that git does not track, taken from the working tree for HEAD" in notes
    name = model.relative_to(versions.root).as_posix()
    assert f"measured files that are not committed: {name}" in notes


def test_a_recipe_that_is_new_has_no_baseline(versions: Project) -> None:
    """It is said by name; the others are compared."""
    more = RECIPES.split("[[recipe]]")[1].replace('name    = "slow"', 'name = "new"\nfrom = "slow"')
    versions.write(RECIPES + "[[recipe]]" + more)
    result = versions.run("--perf-base", "HEAD", "-vv")
    verdicts = versions.verdicts()
    assert verdicts["new-latency_p50"] == verdicts["new-map"] == "NO BASELINE"
    assert verdicts["slow-map"] == "PASS"
    said(result, "there is no recipe 'new' at HEAD")


def test_a_base_that_cannot_be_built_says_why(versions: Project) -> None:
    """The code of the base is broken: NO BASELINE with its error; the working tree is judged."""
    (versions.root / "slow.py").write_text("raise RuntimeError('broken at the base')\n")
    git(versions.root, "commit", "--all", "--quiet", "--message", "broken")
    write_slow(versions, 0.004)
    result = versions.run("--perf-base", "HEAD", "-vv")
    assert versions.verdicts()["slow-latency_p50"] == "NO BASELINE"
    said(result, "could not be measured at HEAD")


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("nowhere", "there is no commit 'nowhere' here"),
        ("--help", "there is no commit '--help' here"),
        ("main:slow.py", "there is no commit 'main:slow.py' here"),
    ],
)
def test_a_ref_that_is_not_there_is_an_error_before_any_work(
    versions: Project, ref: str, says: str
) -> None:
    """Exit code 4, the ref, what is valid, and the next command."""
    result = versions.pytest("--perf", f"--perf-base={ref}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = " ".join([*result.outlines, *result.errlines])
    assert says in text
    assert "git fetch" in text
    assert not (versions.root / "reports").exists()


def test_a_shallow_clone_says_that_it_is_one(versions: Project, tmp_path: Path) -> None:
    """The history that is missing is named, and how to fetch it."""
    git(versions.root, "commit", "--allow-empty", "--quiet", "--message", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{versions.root}", str(clone))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--perf", "--perf-base", "HEAD~1"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "this clone is shallow" in done.stderr
    assert "--unshallow" in done.stderr


def test_without_a_repository_there_is_no_base(project: Project) -> None:
    """The folder is named."""
    result = project.pytest("--perf", "--perf-base=HEAD")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is not in a git repository" in " ".join(result.errlines)


def test_an_interrupted_session_leaves_no_trace(versions: Project) -> None:
    """Ctrl-C in the middle of it, and afterwards the repository is as it was."""
    before = trace_before(versions)
    command = [sys.executable, "-m", "pytest", "--perf", "--perf-base", "HEAD"]
    command += ["--perf-wait", "300", "--perf-seconds", "60"]
    process = subprocess.Popen(
        command,
        cwd=versions.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
    )
    base = versions.root / ".perfgate" / "base"
    end = time.monotonic() + 120
    while not any(base.iterdir()):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    assert trace(versions.root) == before


def test_what_a_killed_session_left_is_cleared_by_the_next(versions: Project) -> None:
    """A folder that nobody holds is removed; one that another process holds stays."""
    base = versions.root / ".perfgate" / "base"
    gone = base / "abc"
    gone.mkdir(parents=True)
    with held_folder(base) as living:
        for folder in (gone, living):
            os.utime(folder, (0, 0))
        versions.run("--perf-base", "HEAD", "-k", "map")
        assert not gone.exists()
        assert living.exists()


def test_another_interpreter_makes_every_arm_a_program_of_its_own(versions: Project) -> None:
    """A slow-down is found between two programs too, and the report says how it was measured."""
    link = versions.root / "site" / "python"
    link.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    link.chmod(0o755)
    write_slow(versions, 0.016)
    more = (f"--perf-base-env={link}", *SLOWER)
    result = versions.run("--perf-base", "HEAD", *more)
    assert versions.verdicts() == {"slow-latency_p50": "FAIL", "slow-map": "PASS"}
    said(result, "every arm a program of its own")
    assert suite(versions)["base"]["python"] == str(link)


def test_other_packages_are_a_base_of_their_own(
    versions: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--perf-base` the base is this code, with the package that only its environment has:
    changes that are not committed are in both.
    """
    wheel(versions.root / "site" / "wheels", "2.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(versions.root / "site" / "wheels"))
    slower = "\ntry:\n    import tinypkg\n    SECONDS *= 4\nexcept ImportError:\n    pass\n"
    with (versions.root / "slow.py").open("a") as file:
        file.write(slower)
    result = versions.run("--perf-base-env=tinypkg==2.0")
    said(result, "compared with this code under other packages (tinypkg 2.0 -> none)")
    (record,), base = suite(versions)["recipes"], suite(versions)["base"]
    assert base["packages"] == ["tinypkg 2.0 -> none"]
    assert min(base["recipes"][0]["launches"][0]["inference"]) >= 0.016
    assert min(record["launches"][0]["inference"]) < 0.016
    assert versions.verdicts()["slow-map"] == "PASS"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--perf-base-env=no/python",), "there is no such file or program"),
        (("--perf-base=HEAD", "--perf-base-env=true"), "it needs pytest-perfgate"),
        (("--perf-base-env=onnxruntime=1.30",), "'onnxruntime=1.30' is no requirement"),
    ],
)
def test_an_interpreter_that_will_not_do_is_an_error_before_any_work(
    versions: Project, arguments: tuple[str, ...], says: str
) -> None:
    """Exit code 4 and what is wrong with it."""
    result = versions.pytest("--perf", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in " ".join(result.errlines)
