"""`--perf-update` and `--perf-reason`: baselines are changed on purpose, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pytest_perfgate.baselines.baseline import VERSION
from pytest_perfgate.plugin.options import NOT_PROVEN

from tests.conftest import Project, said
from tests.measure.test_base_checkout import commit, git
from tests.squares import HEAD, PLAIN, RECIPES

QUICK = ("-p", "calm", "-p", "short_launches")
"""The machine may do other work, and no launch is longer than it must be (`tests/doubles`)."""

TWO_LAUNCHES = ("--perf-seconds=60", "-p", "two_launches", *QUICK)
"""Times can be told apart."""


def stored(project: Project) -> dict[str, Path]:
    """The stored baselines by recipe."""
    return {file.stem: file for file in (project.root / "baselines").glob("*/tiny/*.json")}


@pytest.fixture(scope="module")
def recordings() -> dict[str, bytes]:
    """Baselines that one project recorded, by path: the next project starts with them."""
    return {}


@pytest.fixture
def recorded(project: Project, recordings: dict[str, bytes]) -> Project:
    """The tiny project with baselines of both recipes."""
    folder = project.root / "baselines"
    if recordings:
        for name, content in recordings.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    else:
        assert project.run("--perf-update", "--perf-seconds=60", *QUICK).ret == 0
        for file in folder.glob("*/tiny/*.*"):
            recordings[str(file.relative_to(folder))] = file.read_bytes()
    return project


def edit(file: Path, change: Callable[[dict[str, object]], None]) -> str:
    """Edits a baseline as a person would, and returns its new text."""
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return file.read_text()


def test_update_records_what_was_measured(recorded: Project) -> None:
    """Both recipes get a file with launches, provenance and the matches behind their accuracy."""
    files = stored(recorded)
    assert sorted(files) == ["moody", "plain"]
    data = json.loads(files["plain"].read_text())
    assert data["version"] == VERSION
    assert len(data["metrics"]["latency_p50"]["launches"]) >= 8
    assert len(data["metrics"]["latency_p50"]["yardstick"]) >= 8
    assert data["environment"]["allocator"]
    assert data["accuracy"]["matches"] is None
    assert files["plain"].with_name(data["pairs"]["file"]).stat().st_size > 100
    assert data["model"] == json.loads(files["moody"].read_text())["model"] != data["artifact"]


def test_noise_moves_no_baseline(recorded: Project) -> None:
    """Another update of the same code leaves what noise alone has moved as it was stored."""
    before = json.loads(stored(recorded)["plain"].read_text())["metrics"]["map"]
    assert recorded.run("--perf-update", "--perf-reason", "noise only", *TWO_LAUNCHES).ret == 0
    assert json.loads(stored(recorded)["plain"].read_text())["metrics"]["map"] == before


def test_a_loosening_needs_a_reason_and_keeps_it(
    recorded: Project, moody: Callable[..., None]
) -> None:
    """Without `--perf-reason` nothing is written; with it the reason goes into the file."""
    before = stored(recorded)["moody"].read_text()
    moody(seconds="0.05")
    timed = ("-k", "moody", *TWO_LAUNCHES)
    refused = recorded.run("--perf-update", *timed)
    assert refused.ret == NOT_PROVEN
    refused.stdout.fnmatch_lines(["*would become worse*latency_p50*", "*--perf-reason*"])
    assert stored(recorded)["moody"].read_text() == before
    recorded.run("--perf-update", *timed, "--perf-reason", "a better model")
    after = json.loads(stored(recorded)["moody"].read_text())
    assert {reason["reason"] for reason in after["reasons"]} == {"a better model"}
    assert "latency_p50" in {reason["metric"] for reason in after["reasons"]}


def test_update_is_refused_in_ci(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CI is set, `--perf-update` is a usage error before anything is measured."""
    monkeypatch.setenv("CI", "true")
    result = project.run("--perf-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--perf-update is refused in CI*"])
    assert not stored(project)


LEAVES = """\
import subprocess


def pytest_runtest_teardown(item):
    subprocess.run(["git", "checkout", "--quiet", "other"], check=True)
"""
"""Somebody goes on with another branch once the recipes are measured."""


def test_a_session_whose_commit_changes_meanwhile_is_stored_under_none(project: Project) -> None:
    """Terminal, page and session file say so, and `--perf-update` refuses; a session that nobody
    disturbs is of its commit.
    """
    (project.root / ".gitignore").write_text("site\nreports\n__pycache__\n.cache\nstd*\n")
    (project.root / "conftest.py").write_text(LEAVES)
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    first = commit(project.root, "notes.txt", "first")
    git(project.root, "checkout", "--quiet", "-b", "other")
    second = commit(project.root, "notes.txt", "second")
    git(project.root, "checkout", "--quiet", "main")
    result = project.run("--perf-update", "-k", "plain-map", page=True)
    assert result.ret == NOT_PROVEN
    assert not stored(project)
    words = f"({first[:10]} -> {second[:10]})"
    said(result, "no baseline is written: the commit changed while the session measured", words)
    (session,) = project.sessions()
    assert (session["commit"], session["dirty"]) == ("", True)
    (page,) = project.root.glob("reports/[0-9]*.html")
    assert words.replace(">", "&gt;") in page.read_text()
    project.run("--perf-update", "-k", "plain-map")
    assert json.loads(stored(project)["plain"].read_text())["commit"] == second


def test_nothing_is_written_for_a_recipe_that_failed(
    project: Project, moody: Callable[..., None]
) -> None:
    """A recipe that could not be measured, or lost its accuracy, gets no baseline; others do."""
    lost = '[[recipe]]\nname = "lost"\nfrom = "moody"\n'
    lost += 'runtime = { name = "paced", shift = 40 }\n[recipe.budgets]\nmap = { drop = 0.02 }\n'
    project.write(RECIPES + lost)
    moody("raises")
    project.run("--perf-update")
    assert project.verdicts()["moody-map"] == "ERROR"
    assert project.verdicts()["lost-map"] == "FAIL"
    assert sorted(stored(project)) == ["plain"]


def cut(text: str) -> str:
    """The first half of a file."""
    return text[: len(text) // 2]


BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "truncated": (cut, "*not JSON, perhaps cut short*"),
    "newer": (
        lambda text: text.replace(f'"version": {VERSION}', '"version": 99'),
        f"*version 99*reads up to version {VERSION}*",
    ),
    "nonsense": (
        lambda text: text.replace(
            '"unit": "s",\n      "value": ', '"unit": "s",\n      "value": -'
        ),
        "*greater than or equal to 0*",
    ),
    "renamed": (
        lambda text: text.replace('"recipe": "renamed"', '"recipe": "other"'),
        "*holds the baseline of tiny/other, not of tiny/renamed*",
    ),
    "foreign": (lambda _: "[]", "*not a baseline: the file has no version*"),
}
"""What a person, a merge or another version makes of a file, and what is said of it."""


def test_a_baseline_that_cannot_be_read_is_an_error_and_is_left_alone(recorded: Project) -> None:
    """Only the budgets that need it fail; the message names the file; the file stays as it is. One
    of another machine is never compared.
    """
    plain = stored(recorded)["plain"]
    (machine,) = (recorded.root / "baselines").iterdir()
    other = machine.with_name("some-other-machine-12345678") / "tiny"
    other.mkdir(parents=True)
    (beside,) = plain.parent.glob("plain.*.npz.xz")
    plain.rename(other / plain.name)
    (other / beside.name).write_bytes(beside.read_bytes())
    text, broken = (other / plain.name).read_text(), {}
    for name, (change, _) in BROKEN.items():
        sound = text.replace('"recipe": "plain"', f'"recipe": "{name}"')
        file = plain.with_stem(name)
        broken[file] = change(sound)
        assert broken[file] != sound
        file.write_text(broken[file])
    # Recipes of their own lines: one that is derived needs its reference's baseline, too.
    recipes = "".join(PLAIN.replace('"plain"', f'"{name}"') for name in BROKEN)
    recorded.write(HEAD + PLAIN + recipes)
    result = recorded.run("--perf-update")
    words = recorded.verdicts()
    said = " ".join(line.strip() for line in result.stdout.lines)
    for name, (_, says) in BROKEN.items():
        assert words[f"{name}-map"] == words[f"{name}-latency_p50"] == "ERROR"
        assert words[f"{name}-artifact_size"] == "PASS"
        assert f"{name}.json" in said
        assert fnmatch(said, says), says
    assert words["plain-map"] == "NO BASELINE"
    assert {file: file.read_text() for file in broken} == broken
