"""The page "From a red night to its commit", its commands run in order on a made-up history."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_perfgate.cli.main import main
from pytest_perfgate.history import confirmation
from pytest_perfgate.history.store import History
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.measure import bench
from pytest_perfgate.versions import bisection

from tests.blackbox.test_base import SLOW, git
from tests.conftest import Project
from tests.history.nights import METRICS, Night, session

PAGE = Path(__file__).parents[2] / "docs" / "nights.md"
COMMITS, CULPRIT, BROKEN = 30, 16, 17

SUITE = """\
[suite]
name  = "digits"
task  = "detection"
model = "squares.onnx"
batch = 4

[suite.data]
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "fp32"
runtime = "onnxruntime"
[recipe.budgets]
artifact_size = { max = "1 MB" }

[[recipe]]
name    = "int8"
from    = "fp32"
runtime = "slow"
[recipe.budgets]
artifact_size = { max = "1 MB" }
latency_p50   = { max = "1 s" }
"""


@pytest.fixture
def commits(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The project with 30 commits, of which one in the middle makes int8 three times as slow and
    the next one does not build; few launches prove so much.
    """
    monkeypatch.setattr(confirmation, "_ALPHA", 0.15)
    monkeypatch.setattr(bisection, "_ALPHA", 0.3)
    monkeypatch.setattr(bench, "launch_seconds", lambda _: 0.1)
    monkeypatch.chdir(project.root)
    site = project.root / "site" / "slow-1.0.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text("[pytest_perfgate.runtimes]\nslow = slow:Slow\n")
    project.write(SUITE)
    (project.root / ".gitignore").write_text(
        "site\nreports\n.perfgate\n__pycache__\nrunpytest-*\nstdout\nstderr\n"
    )
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "config", "user.name", "A. Maintainer")
    (project.root / "slow.py").write_text(code_of(0))
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "commit 0")
    stream = "".join(map(imported, range(1, COMMITS)))
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=project.root, input=stream, text=True, check=True
    )
    git(project.root, "reset", "--quiet", "--hard")
    return git(project.root, "rev-list", "--reverse", "HEAD").split()


def code_of(number: int) -> str:
    """The project's code at one commit."""
    if number == BROKEN:
        return "raise RuntimeError('broken')\n"
    code = SLOW.format(seconds=0.006 if number >= CULPRIT else 0.002)
    # A load of some hundred microseconds doubles by chance: this one is the same at all commits.
    code = code.replace("        return SlowS", "        time.sleep(0.08)\n        return SlowS")
    return f"{code}\n# {number}\n"


def imported(number: int) -> str:
    """One commit for `git fast-import`, whose process costs as much as one of `git commit`."""
    code, message = code_of(number), f"commit {number}"
    return (
        "commit refs/heads/main\ncommitter t <t@example.org> 1700000000 +0000\n"
        f"data {len(message)}\n{message}\n"
        + ("from refs/heads/main^0\n" if number == 1 else "")
        + f"M 100644 inline slow.py\ndata {len(code)}\n{code}\n"
    )


def add_nights(folder: Path, commits: list[str], factors: list[float], first: int) -> None:
    """Nights of this machine up to today, as many as there are factors of int8's time."""
    start = datetime.now(UTC) - timedelta(days=20)
    with History(folder) as store:
        for number, (commit, factor) in enumerate(zip(commits, factors, strict=True)):
            record = session(first + number, Night(factor=factor, commit=commit))
            when = start + timedelta(days=first + number)
            update = {"started": when.isoformat(timespec="seconds"), "machine": this_machine()}
            store.append(record.model_copy(update=update), METRICS)


def test_from_a_red_night_to_its_commit(
    project: Project, commits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The night confirms the step, the page shows it, bisection names the commit, a decision closes
    it, a fix is seen; a file edited to nonsense is one message, and no checkout is left.
    """
    history = project.root / "reports" / "history"
    good, bad = commits[14], commits[18]
    listed = [*commits[:14:2], good, bad, *commits[21::4]]
    add_nights(history, listed, [1.0] * 8 + [3.0] * 4, first=0)
    night, report, bisect, expect, add, show, show_all = _commands(PAGE.read_text())

    def run(words: list[str]) -> str:
        assert main(words[1:]) == 0
        return capsys.readouterr().out

    session = ("-k", "int8-artifact", "--perf-seconds=60", "-p", "short_launches")
    result = project.run(*night[2:], *session, history=True)
    result.stdout.fnmatch_lines(["confirm: digits/int8 latency_p50 *since*: confirmed: *"])
    result.stdout.fnmatch_lines(["confirm: digits/int8 load_time *since*: not confirmed: *"])
    page = _page(run, report)
    assert f"on {datetime.now(UTC) - timedelta(days=12):%Y-%m-%d} (confirmed)." in page
    top = page[: page.index("<h2>Open alerts")]
    assert "Confirmed steps" in top
    command = f"pytest-perfgate bisect int8 latency_p50 --good {good[:10]} --bad {bad[:10]}"
    assert command in top

    ends = {"GOOD": good[:10], "BAD": bad[:10]}
    said = run([ends.get(word, word) for word in bisect])
    assert f"first bad commit: {commits[CULPRIT][:10]} commit {CULPRIT} " in said
    assert f"not measured: {commits[BROKEN][:10]} commit {BROKEN}: " in said

    run(expect)
    git(project.root, *add[1:])
    assert "baselines/alerts/" in git(project.root, "status", "--porcelain")
    assert "latency_p50" not in run(show)
    page = _page(run, report)
    assert "Confirmed steps" not in page
    assert "expected: the new filter is slower and right (A. Maintainer, " in page

    add_nights(history, [bad] * 4, [1.0] * 4, first=12)
    assert re.search(r"int8 latency_p50 .*: fixed since .*; expected: ", run(show_all))
    assert not any((project.root / ".perfgate" / "base").iterdir())

    (file,) = (project.root / "baselines" / "alerts").iterdir()
    file.write_text(file.read_text().replace('"since": "2', '"since": "yesterday 2'))
    assert main(report[1:]) == 1
    err = capsys.readouterr().err
    assert f"{file.name}: the alerts cannot be used: alerts.0.since: " in err
    assert len(err.splitlines()) == 2


def _commands(page: str) -> list[list[str]]:
    """The commands of the page, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def _page(run: Callable[[list[str]], str], report: list[str]) -> str:
    run(report)
    return (Path.cwd() / "reports" / "nightly.html").read_text()
