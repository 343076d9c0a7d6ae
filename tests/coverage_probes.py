"""Modules with probes: which lines and outcomes of branches were run, at little cost on any Python.

A probe is one store into a list, before each statement and in each outcome of a branch. A tracer
(`sys.settrace`, which coverage.py needs for branches before Python 3.14) would slow all other code
too, that of torch and of pytest. Lines stay where they are, so tracebacks, `inspect.getsource` and
digests of sources stay as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[1]
SOURCES = TOP / "harness"
FILES = ".probes.*.json"
"""What each process of a run leaves in the checkout."""

HITS = "__probes__"
"""A global of each module: a list with a number for each of its probes, 1 where it was passed."""


class Branch(NamedTuple):
    """An outcome of a statement that goes on in one of several places.

    Attributes:
        line: of the statement, 1-based.
        body: first line of the block that follows where the branch is taken.
        taken: whether it went there, or elsewhere.
    """

    line: int
    body: int
    taken: bool


@dataclass(frozen=True)
class Probe:
    """What has been run when a probe is passed: lines (1-based), and outcomes of branches."""

    lines: tuple[int, ...] = ()
    branches: tuple[Branch, ...] = ()


NOTHING = Probe()


def instrumented(source: bytes | str, file: str) -> tuple[CodeType, list[Probe]]:
    """The code of a module, with probes, and what each probe stands for.

    Raises:
        SyntaxError: the source is no Python.
    """
    tree = ast.parse(source, file)
    blocks = _Blocks()
    tree.body = blocks.block(tree.body)
    return compile(tree, file, "exec", dont_inherit=True), blocks.probes


class _Blocks:
    """Puts probes into blocks of statements, and lists them."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def block(
        self, body: Sequence[ast.stmt], probe: Probe = NOTHING, line: int = 1
    ) -> list[ast.stmt]:
        """A block whose first probe stands for `probe`, too; an empty one gets a probe for that, at
        `line`. Docstrings and imports from `__future__` stay first, before any probe.
        """
        block: list[ast.stmt] = []
        lines, branches = probe.lines, probe.branches
        for statement in body:
            lines += _lines(statement)
            if not _stays_first(statement, first=not block):
                block.append(self._store(Probe(lines, branches), statement.lineno))
                lines, branches = (), ()
                self._inside(statement)
            block.append(statement)
        if lines or branches:
            block.append(self._store(Probe(lines, branches), body[-1].lineno if body else line))
        return block

    def _inside(self, statement: ast.stmt) -> None:
        """The blocks of a statement."""
        match statement:
            case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
                line, body = statement.lineno, _lines(statement.body[0])[0]
                taken, other = (Probe((), (Branch(line, body, taken),)) for taken in (True, False))
                statement.body = self.block(statement.body, taken)
                statement.orelse = self.block(statement.orelse, other, line)
            case ast.Match():
                self._cases(statement)
            case ast.Try() | ast.TryStar():
                clauses = [(handler.lineno, handler.body) for handler in statement.handlers]
                for handler, probe in zip(statement.handlers, _one_of(clauses), strict=False):
                    handler.body = self.block(handler.body, probe)
                statement.body = self.block(statement.body)
                statement.orelse = self.block(statement.orelse)
                statement.finalbody = self.block(statement.finalbody)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                statement.body = self.block(statement.body)
            case ast.With() | ast.AsyncWith():
                statement.body = self.block(statement.body)

    def _cases(self, statement: ast.Match) -> None:
        """Those of `match`, and one more for what none of them matched."""
        *probes, none = _one_of([(case.pattern.lineno, case.body) for case in statement.cases])
        for case, probe in zip(statement.cases, probes, strict=True):
            case.body = self.block(case.body, probe)
        last = statement.cases[-1]
        if last.guard is not None or not _matches_all(last.pattern):
            pattern = ast.copy_location(ast.MatchAs(), last.pattern)
            body = self.block([], none, last.pattern.lineno)
            statement.cases.append(ast.match_case(pattern=pattern, guard=None, body=body))

    def _store(self, probe: Probe, line: int) -> ast.stmt:
        """`__probes__[NUMBER] = 1`."""
        number = ast.Constant(len(self.probes))
        self.probes.append(probe)
        hits, one = ast.Name(HITS, ast.Load()), ast.Constant(1)
        target = ast.Subscript(hits, number, ast.Store())
        store = ast.Assign([target], one)
        for node in (hits, number, target, one, store):
            node.lineno = node.end_lineno = line
            node.col_offset = node.end_col_offset = 0
        return store


def _stays_first(statement: ast.stmt, *, first: bool) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    value = statement.value if first and isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _lines(statement: ast.stmt) -> tuple[int, ...]:
    """Where a statement begins; one with decorators begins at each of them, too."""
    decorators: Iterable[ast.expr] = getattr(statement, "decorator_list", ())
    return (*(decorator.lineno for decorator in decorators), statement.lineno)


def _matches_all(pattern: ast.pattern) -> bool:
    """Whether no `case` may stand after one of this pattern."""
    match pattern:
        case ast.MatchAs(pattern=inner):
            return inner is None or _matches_all(inner)
        case ast.MatchOr(patterns=patterns):
            return any(_matches_all(inner) for inner in patterns)
    return False


def _one_of(clauses: Sequence[tuple[int, Sequence[ast.stmt]]]) -> list[Probe]:
    """For clauses (line, block) that are tried one after the other: what has been run when each of
    them is entered, and at the end, what has been run when none is.
    """
    taken, other = (
        [Branch(line, _lines(body[0])[0], outcome) for line, body in clauses]
        for outcome in (True, False)
    )
    lines = tuple(line for line, _ in clauses)
    return [
        Probe(lines[: number + 1], (*other[:number], *taken[number : number + 1]))
        for number in range(len(clauses) + 1)
    ]
