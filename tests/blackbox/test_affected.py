"""`--perf-affected` as a merge gate uses it: a change of one recipe, and a change of none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Project, said
from tests.squares import HEAD

RECIPES = (
    HEAD
    + """\
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { min = 0.5 }

[[recipe]]
name    = "edited"
from    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { drop = 0.02 }

[[recipe]]
name    = "timed"
from    = "plain"
runtime = "moody"
[recipe.budgets]
peak_memory = { max = "4 GB" }
"""
)


def git(project: Project, *arguments: str) -> str:
    """What git answers."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=project.root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(project: Project) -> None:
    """Everything."""
    git(project, "add", "-A")
    git(project, "commit", "-qm", "change")


def test_only_what_a_change_can_touch_is_measured(
    project: Project, moody: Callable[..., None]
) -> None:
    """The base measures all. A budget of one recipe is edited: that one is measured, the others are
    named with the session that measured them. Then a page of the docs: nothing is measured, and
    the strict gate is green, by a session that the base's own found unaffected.
    """
    (project.root / ".gitignore").write_text(".perfgate/\nreports/\n__pycache__/\n")
    (project.root / "turns.txt").write_text("opened in timed turns alone")
    moody("reads_a_file")
    project.write(RECIPES)
    git(project, "init", "-q", "-b", "main")
    commit(project)
    assert project.run("-k", "map or timed").ret == 0
    (base,) = project.sessions()
    (suite,) = base["suites"]
    inputs = {record["name"]: record["inputs"] for record in suite["recipes"]}
    assert "suites/tiny/squares.onnx" in inputs["plain"]["files"]
    assert inputs["timed"]["data"].keys() == {"validation"}
    assert "turns.txt" in inputs["timed"]["files"]
    assert "turns.txt" not in inputs["plain"]["files"]
    assert not suite["unaffected"]

    project.write(RECIPES.replace("drop = 0.02", "drop = 0.03"))
    commit(project)
    affected = ("--perf-affected", "--perf-base", "HEAD~1", "--perf-strict")
    files = ("--perf-markdown=out.md", "--junitxml=out.xml")
    result = project.run("-k", "map", *affected, *files, page=True)
    assert result.ret == 0
    assert project.verdicts() == {"plain-map": "UNAFFECTED", "edited-map": "PASS"}
    said(
        result,
        "1 of 2 budgets were measured, 1 is unaffected since HEAD~1",
        f"measured in session {base['id']}",
        f"unaffected: plain: measured in session {base['id']} of",
        "affected: edited: the recipe, its reference or the suite around them changed",
        "1 unaffected",
    )
    for page in (*project.root.glob("reports/2*.html"), project.root / "out.md"):
        assert base["id"] in page.read_text()
    junit = (project.root / "out.xml").read_text()
    for name, value in (
        ("earlier.verdict", "PASS"),
        ("earlier.session", base["id"]),
        ("earlier.commit", git(project, "rev-parse", "HEAD~1")),
    ):
        assert f'name="{name}" value="{value}"' in junit

    Path(project.root / "notes.md").write_text("# Notes\n")
    commit(project)
    result = project.run("-k", "map", *affected)
    assert result.ret == 0
    assert set(project.verdicts().values()) == {"UNAFFECTED"}
    said(result, "0 of 2 budgets were measured, 2 are unaffected", "2 were kept when measured")
    edited, last = project.sessions()[-2:]
    origins = {one["recipe"]: one["session"] for one in last["suites"][0]["unaffected"]}
    assert origins == {"plain": base["id"], "edited": edited["id"]}
    assert not last["suites"][0]["recipes"]
