"""Nothing that this program writes controls a terminal, whatever names and messages hold."""

from __future__ import annotations

import ast
import contextlib
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_perfgate
from pytest_perfgate.cli.main import main
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plugin.lines import lines_of

SOURCES = Path(pytest_perfgate.__file__).parent
EVIL = "\x1b[2J\x1b]0;title\x07\r\x9b1m\u202e"
WRITERS = {
    "cli": "main writes for all of it, through a stream that is printable",
    "report/progress.py": "the line that is written over",
    "report/publish.py": "the drawing process, to the process that started it",
    "plugin/lines.py": "pytest's reporter",
}


def test_every_place_that_writes_to_a_terminal_is_known() -> None:
    """A new one goes through one of these, or is added with its reason."""
    places = set()
    for file in sorted(SOURCES.rglob("*.py")):
        name = file.relative_to(SOURCES).as_posix()
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
                places.add(name if name in WRITERS else name.partition("/")[0])
    assert places == set(WRITERS)


CALLS = {
    "print",
    "sys.stdout.write",
    "sys.stderr.write",
    "self._out.write",
    "reporter.write_line",
    "terminalreporter.write_line",
    "terminalreporter.write",
    "pytest.exit",
    "warnings.warn",
}


def is_clean(text: str) -> bool:
    """Whether a text leaves a terminal alone."""
    return not set(text) & set("\x1b\r\x07\x9b\u202e")


def test_no_command_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its output, nor its errors, nor what argparse says of wrong usage."""
    assert main(["cache", "list", "--cache", f"x{EVIL}"]) == 1
    assert main(["history", "import", f"x{EVIL}.json"]) == 1
    with pytest.raises(SystemExit):
        main(["cache", f"x{EVIL}"])
    shown = capsys.readouterr()
    assert "there is no cache here" in shown.err
    assert "invalid choice" in shown.err
    assert is_clean(shown.out)
    assert is_clean(shown.err)


def test_no_error_and_no_line_of_pytest_controls_it() -> None:
    """An error in words, and what the plugin has pytest write."""
    assert is_clean(str(PerfgateError(EVIL, where=EVIL, valid=EVIL, next_step=EVIL)))
    out = io.StringIO()

    def write_line(text: str, **_: bool) -> None:
        out.write(f"{text}\n")

    lines_of(SimpleNamespace(write_line=write_line))(f"one{EVIL}\ntwo https://token@host/")
    assert out.getvalue().split() == ["one", "two", "https://host/"]


def test_skips_are_printable() -> None:
    """Their reasons are those of workers."""
    from pytest_perfgate.plugin.outcome import BudgetCheck, settle
    from pytest_perfgate.records.verdict import Status, Verdict

    def verdict(status: Status) -> Verdict:
        return Verdict(recipe="r", metric="map", status=status, unit="", reason=f"x{EVIL}")

    for call in (
        BudgetCheck(verdict(Status.INCONCLUSIVE), None, strict=False).check,
        BudgetCheck(verdict(Status.FAIL), None, strict=False).check,
        lambda: settle(verdict(Status.SKIPPED), None, name="r", strict=False, allowed=()),
        lambda: settle(verdict(Status.ERROR), None, name="r", strict=False, allowed=()),
    ):
        outcomes = (pytest.skip.Exception, pytest.fail.Exception)
        with contextlib.suppress(AssertionError), pytest.raises(outcomes) as caught:
            call()
        assert is_clean(str(caught.value))
