"""The benchmark of whole sessions counts every process of a session."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.evaluation_session import Cost, _bytes, _tree, show

GRANDCHILD = """
import subprocess, sys
code = "print('up', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()  # one that only just begins has no memory yet
print(child.pid, flush=True)
child.wait()
"""


def test_processes_of_processes_are_counted() -> None:
    """A worker's own processes too; one that has ended takes nothing."""
    command = [sys.executable, "-c", GRANDCHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        tree = _tree(os.getpid())
        sizes = [_bytes(process) for process in (child.pid, grandchild)]
        child.stdin.write(b"\n")
    assert {os.getpid(), child.pid, grandchild} <= set(tree)
    assert min(sizes) > 10**5
    assert _bytes(child.pid) == 0


def test_the_table_has_a_column_for_each_session(capsys: pytest.CaptureFixture[str]) -> None:
    """And the load, without which seconds of wall time say nothing."""
    cost = Cost(60.5, 30.25, 20.0, 10.0, 1_090_000_000, 640_000_000, 1.5)
    show({"no cache": cost, "with a cache": cost})
    printed = capsys.readouterr().out
    assert "| a session | no cache | with a cache |" in printed
    assert "| GB of all processes at once | 1.09 | 1.09 |" in printed
    assert "| load of the machine | 1.5 | 1.5 |" in printed
