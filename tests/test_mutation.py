"""The program of mutation tests: what it leaves out, what it counts, when it fails."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests import mutation
from tests.mutation import Mutant, modules, report


def test_every_module_of_the_rooms_has_its_turn_the_smallest_first() -> None:
    """A name that is none is refused, with those that are."""
    known = modules([])
    assert {name.split("/")[0] for name in known} == set(mutation.ROOMS)
    sizes = [(mutation.PROJECT / mutation.SOURCES / name).stat().st_size for name in known]
    assert sizes == sorted(sizes)
    assert modules(["verdicts/no_gain"]) == ["verdicts/no_gain.py"]
    with pytest.raises(SystemExit, match=r"verdicts/nothing\.py: valid: .*verdicts/judge\.py"):
        modules(["verdicts/nothing"])


def test_annotations_are_left_out_and_nothing_else() -> None:
    """Types of arguments, results and names; the value beside them is code."""
    source = "def f(a: int | None = 1 | 2) -> int | str:\n    b: int | None = a | 4\n    return b\n"
    lines = source.splitlines()
    parts = {
        lines[start[0] - 1][start[1] : end[1]]
        for start, end in mutation._annotations(ast.parse(source))
    }
    assert parts == {"int | None", "int | str"}


def test_a_line_of_the_dump_is_a_mutant() -> None:
    """With the line before and after it; one that was left out is none, one without a result is
    still to try.
    """
    diff = "--- mutation diff ---\n--- a\n+++ b\n@@ -1 +1 @@\n x\n-    low <= 1\n+    low < 1\n"
    result = {"worker_outcome": "normal", "test_outcome": "survived", "diff": diff}

    def mutants(result: object) -> list[Mutant]:
        return list(mutation._mutants("a.py", json.dumps([{}, result])))

    assert mutants(result) == [Mutant("a.py", "low <= 1", "low < 1", "survived")]
    assert mutants({"worker_outcome": "skipped"}) == []
    assert mutants(None) == [Mutant("a.py", "", "", "")]


def test_a_survivor_needs_an_explanation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of its module and its line; a score below nine of ten fails whatever is explained, once all
    are tried.
    """
    page = tmp_path / "mutation.md"
    page.write_text("| `a.py` | `low < 1` | both are the same here |\n")
    monkeypatch.setattr(mutation, "EXPLAINED", page)
    killed = [Mutant("a.py", "", "", "killed")] * 9
    survivor = Mutant("a.py", "low <= 1", "low < 1", "survived")
    assert report({"a.py": [*killed, survivor]}) == 0
    assert "a.py: 90.0% of 10 mutants killed\n" in capsys.readouterr().out
    assert report({"a.py": [*killed[1:], survivor]}) == 1
    assert report({"a.py": [*killed[1:], survivor, Mutant("a.py", "", "", "")]}) == 0
    assert "1 left to try" in capsys.readouterr().out
    for other in (Mutant("a.py", "x", "y", "survived"), Mutant("b.py", "", "low < 1", "survived")):
        assert report({other.module: [*killed, other]}) == 1
    assert "survivor: x\n            y" in capsys.readouterr().out
    assert report({"c.py": []}) == 0


def test_nothing_runs_on_in_the_copy(tmp_path: Path) -> None:
    """The tests of the last mutant end with the run; what runs elsewhere goes on."""
    copies = mutation.Mutation(tmp_path)
    copies.tree.mkdir()
    inside, outside = (
        subprocess.Popen(["sleep", "60"], cwd=folder, start_new_session=True)
        for folder in (copies.tree, tmp_path)
    )
    try:
        copies._end_tests()
        assert inside.wait(10) == -signal.SIGKILL
        assert outside.poll() is None
    finally:
        outside.kill()
        outside.wait()


def test_the_copy_has_no_mutant_of_a_run_that_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run begins with the project's own files."""
    copies = mutation.Mutation(tmp_path)
    monkeypatch.setattr(mutation, "PROJECT", Path(__file__).parents[1] / "harness")
    copies.copy()
    (file,) = copies.tree.rglob("no_gain.py")
    text = file.read_text()
    file.write_text("raise SystemExit")
    (file.parent / "left.py").touch()
    copies.copy()
    assert file.read_text() == text
    assert not (file.parent / "left.py").exists()
