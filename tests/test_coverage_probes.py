"""Probes count the lines and the branches that coverage.py's own tracer counts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import coverage
import pytest

from tests import coverage_floors
from tests.coverage_floors import Run, record
from tests.coverage_probes import HITS, Probe, instrumented

SOURCES = {
    "if": """
        def sign(number):
            '''A docstring stays first.'''
            if number > 0:
                return 1
            if number < 0:
                word = -1
            elif number == 0:
                word = 0
            else:
                word = 2
            return word
        sign(1), sign(0)
    """,
    "if at the end": """
        def grow(rows, more):
            if more:
                rows.append(more)
        grow([], 1)
        def shrink(rows, less):
            if less:
                rows.remove(less)
        shrink([], 0)
    """,
    "loops": """
        def first(rows):
            for row in rows:
                if row:
                    break
            else:
                row = None
            while rows:
                rows = rows[1:]
                if row:
                    continue
                rows = ()
            return row
        first([0, 1, 2])
        for _ in ():
            pass
        while True:
            break
    """,
    "except": """
        def read(text):
            try:
                number = int(text)
            except TypeError:
                number = 0
            except ValueError:
                number = 1
            except OSError:
                number = 2
            else:
                number += 1
            finally:
                text = ""
            return number
        read("1"), read("a")
    """,
    "match": """
        def name(value, wide=False):
            match value:
                case 0:
                    return "zero"
                case int() if value > 5:
                    return "large"
                case str(text) | bytes(text):
                    return text
                case [one]:
                    return one
            match value:
                case 1:
                    return "one"
                case _:
                    return "other"
        name(9), name("a"), name(1), name(2)
    """,
    "class": """
        '''Of the module.'''
        from __future__ import annotations
        import functools
        class Shape:
            '''Of the class.'''
            sides: int = 4
            @property
            @functools.cache
            def area(self):
                return (
                    self.sides
                    * 2
                )
            @staticmethod
            def unused():
                return 3
        Shape().area
    """,
    "with": """
        import contextlib
        def run(fail):
            with contextlib.suppress(ValueError), contextlib.nullcontext() as nothing:
                if fail:
                    raise ValueError(nothing)
                return 1
            return 2
        run(True)
    """,
    "raised": """
        def parts():
            yield 1
            raise KeyError
            yield 2
        def ask(rows):
            global asked
            asked = [row for row in rows if row]
            return asked[7]
        try:
            ask(parts())
        except (KeyError, IndexError) as error:
            if isinstance(error, KeyError):
                pass
    """,
}


def counts(report: dict[str, Any]) -> dict[str, Any]:
    """What a report of coverage.py says of one module, without its figures by function."""
    names = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
    return {name: sorted(report[name]) for name in names}


def run(code: Any, hits: list[int]) -> None:
    """A module's code, in a namespace of its own."""
    exec(code, {"__name__": "module", HITS: hits})  # noqa: S102 - an example above


@pytest.mark.parametrize("name", SOURCES)
def test_probes_count_as_the_tracer_does(name: str, tmp_path: Path) -> None:
    """The same lines, the same branches, the same ones missed."""
    source, file = dedent(SOURCES[name]), tmp_path / "module.py"
    file.write_text(source)
    tracer = coverage.Coverage(
        data_file=str(tmp_path / "traced"), branch=True, config_file=False, include=[str(file)]
    )
    before = sys.gettrace()
    tracer.start()
    try:
        run(compile(source, file, "exec", dont_inherit=True), [])
    finally:
        tracer.stop()
        sys.settrace(before)
    tracer.save()
    traced = coverage_floors.report(tmp_path / "traced")[str(file)]

    code, probes = instrumented(source, str(file))
    hits = [0] * len(probes)
    run(code, hits)
    passed = of(probes, hits)
    ours = record([str(file)], {str(file): passed}, tmp_path / "ours")[str(file)]

    assert counts(ours) == counts(traced)
    assert ours["missing_branches"] or ours["missing_lines"], "the example leaves something out"
    nothing = record([str(file)], {}, tmp_path / "nothing")[str(file)]
    assert not nothing["executed_lines"], "what no test imported is missed as a whole"


PLUGIN = """
def pytest_configure(config):
    if hasattr(config, "workerinput"):
        of_worker = True
    else:
        of_controller = True
"""

TESTS = """
import os

import pytest

from pytest_perfgate import rooms

pytest_plugins = ["pytester"]

@pytest.mark.parametrize("number", range(4))
def test_room(number):
    assert rooms.name(number % 2) == "small"

def test_session(pytester):
    pytester.makepyfile("def test_it():\\n    from pytest_perfgate import inner\\n    inner.run()")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)

def test_fork():
    child = os.fork()
    if not child:
        rooms.name(2)
        os._exit(0)
    os.waitpid(child, 0)
"""

ROOMS = """
def name(number):
    if number > 1:
        return "large"
    return "small"
"""


def test_a_run_measures_its_own_processes(tmp_path: Path) -> None:
    """The controller and the workers of pytest-xdist, with the plugin that the package is, and
    sessions within a test: one figure of all. What an earlier run left does not count, nor do
    processes that tests start.
    """
    tests, package = tmp_path / "tests", tmp_path / "harness" / "pytest_perfgate"
    tests.mkdir()
    for name in ("__init__", "coverage_plugin", "coverage_probes", "coverage_floors"):
        shutil.copy(Path(__file__).with_name(f"{name}.py"), tests)
    (tests / "test_rooms.py").write_text(TESTS)
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    (package / "rooms.py").write_text(ROOMS)
    (package / "inner.py").write_text("def run():\n    return 1\n")
    earlier = {str(package / "rooms.py"): {"lines": [4], "branches": []}}
    (tmp_path / ".probes.1.json").write_text(json.dumps(earlier))
    environment = os.environ | {
        "PYTHONPATH": str(package.parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    plugins = ("-p", "tests.coverage_plugin", "-p", "xdist", "-p", "pytest_perfgate.plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "-n", "2", "tests"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    files = [str(file) for file in package.rglob("*.py")]
    report = record(files, coverage_floors.runs(tmp_path), tmp_path / ".coverage")
    missing = {file.rpartition("/")[2]: counts["missing_lines"] for file, counts in report.items()}
    assert missing == {"__init__.py": [], "plugin.py": [], "rooms.py": [4], "inner.py": []}


def test_no_file_is_no_figure(tmp_path: Path) -> None:
    """Rather than nothing of nothing, or an earlier run's."""
    with pytest.raises(coverage.exceptions.NoDataError, match="next: python -m pytest -p tests"):
        coverage_floors.runs(tmp_path)


def of(probes: list[Probe], hits: list[int]) -> Run:
    """What was run where these probes were passed."""
    both = Run()
    for probe, hit in zip(probes, hits, strict=True):
        if hit:
            both.lines.update(probe.lines)
            both.branches.update(probe.branches)
    return both
