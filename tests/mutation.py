"""Mutation tests of the rooms that say PASS: their code is changed in one place at a time, and a
test must fail.

    python -m tests.mutation                      all modules; after Ctrl-C it goes on
    python -m tests.mutation verdicts/no_gain     these modules
    python -m tests.mutation --seconds 3600       for an hour
    python -m tests.mutation --report             what is known so far

Mutants are made by Cosmic Ray in a copy of the project. Results of a module are kept until the
module or its tests change. The exit code is 1 where a module has a survivor that
docs/mutation.md does not explain, or fewer than nine of ten mutants are killed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("verdicts", "baselines", "stats")
"""A mistake in these makes a wrong verdict green."""

TESTS = {
    "verdicts": ("tests/verdicts",),
    "baselines": ("tests/baselines", "tests/verdicts"),
    "stats": ("tests/stats",),
}
"""Folders of tests by room; files that are named after a module come first."""

LEAST = 0.9
"""The share of mutants that the tests kill."""

PROJECT = Path(__file__).parents[1]
SOURCES = Path("harness", "pytest_perfgate")
EXPLAINED = PROJECT / "docs" / "mutation.md"
_TIMEOUT = 300.0  # seconds of the tests of one mutant, which may never end
_TESTS = "not slow and not alone and not session"


@dataclass(frozen=True)
class Mutant:
    """One change: the line before and after it, and what came of it ("" for nothing yet)."""

    module: str
    before: str
    after: str
    outcome: str

    @property
    def explained(self) -> bool:
        """Whether the page has a row with the module and the changed line."""
        rows = EXPLAINED.read_text(encoding="utf-8").splitlines() if EXPLAINED.exists() else []
        return any(f"`{self.module}`" in row and f"`{self.after}`" in row for row in rows)


class Mutation:
    """The copy of the project and what is known of each module's mutants.

    Attributes:
        folder: where both are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"

    def copy(self) -> None:
        """Makes the copy anew: a run that was stopped may have left a mutant in the last one."""
        shutil.rmtree(self.tree, ignore_errors=True)
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True).stdout
        for name in filter(None, names.decode().split("\0")):
            if (PROJECT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, self.tree / name)

    def run(self, module: str, until: float) -> None:
        """Tries the mutants of a module that are left, until that time (`time.monotonic`)."""
        session, config = self._session(module), self.folder / "config.toml"
        config.write_text(
            "[cosmic-ray]\n"
            f"module-path = {json.dumps(str(SOURCES / module))}\n"
            f"timeout = {_TIMEOUT}\nexcluded-modules = []\n"
            f"test-command = {json.dumps(_command(module))}\n"
            '[cosmic-ray.distributor]\nname = "local"\n',
            encoding="utf-8",
        )
        if not session.exists():
            self._cosmic_ray("baseline", str(config))
            self._cosmic_ray("init", str(config), str(session))
            _leave_out_types(session, self.tree / SOURCES / module)
        process = subprocess.Popen(
            [*_COMMAND, "exec", str(config), str(session)], cwd=self.tree, env=self._environment()
        )
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.terminate()
            process.wait()
            self._end_tests()
            shutil.copy2(PROJECT / SOURCES / module, self.tree / SOURCES / module)

    def mutants(self, module: str) -> list[Mutant]:
        """What is known of a module's mutants; those of types are left out."""
        session = self._session(module)
        if not session.exists():
            return []
        dump = subprocess.run(
            [*_COMMAND, "dump", str(session)], check=True, capture_output=True, text=True
        )
        return [mutant for line in dump.stdout.splitlines() for mutant in _mutants(module, line)]

    def _session(self, module: str) -> Path:
        digest = hashlib.sha256((PROJECT / SOURCES / module).read_bytes())
        for folder in TESTS[Path(module).parts[0]]:
            for file in sorted((PROJECT / folder).rglob("*.py")):
                digest.update(file.read_bytes())
        return self.folder / f"{module.replace('/', '-')}-{digest.hexdigest()[:12]}.sqlite"

    def _end_tests(self) -> None:
        """Ends the tests of a mutant that was stopped: they are a session of their own, and nothing
        but them runs in the copy.
        """
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cwd").readlink() == self.tree:
                    os.kill(int(folder.name), signal.SIGKILL)

    def _cosmic_ray(self, *arguments: str) -> None:
        subprocess.run([*_COMMAND, *arguments], cwd=self.tree, env=self._environment(), check=True)

    def _environment(self) -> dict[str, str]:
        paths = str(self.tree / "harness"), os.environ.get("PYTHONPATH", "")
        # Without bytecode: that of a mutant has the size and the second of the source's own.
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


_COMMAND = (sys.executable, "-m", "cosmic_ray.cli")


def _command(module: str) -> str:
    """The tests of a module, those in files with its name first: pytest alone would sort them."""
    room, stem = Path(module).parts[0], Path(module).stem
    own = [
        file.relative_to(PROJECT).as_posix()
        for folder in TESTS[room]
        for file in sorted((PROJECT / folder).rglob(f"test_*{stem}*.py"))
    ]
    # Hypothesis' profile "ci" draws the same examples each time, however busy the machine is.
    pytest = [
        sys.executable,
        *["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--benchmark-disable"],
    ]
    pytest += ["--hypothesis-profile=ci", "-m", _TESTS]
    runs = [shlex.join([*pytest, *files]) for files in (own, TESTS[room]) if files]
    return shlex.join(["sh", "-c", " && ".join(runs)])


def modules(names: Sequence[str]) -> list[str]:
    """Modules of the rooms, smallest first; only the named ones, where some are named.

    Raises:
        SystemExit: a name is none of them.
    """
    files = sorted(
        (file for room in ROOMS for file in (PROJECT / SOURCES / room).rglob("*.py")),
        key=lambda file: file.stat().st_size,
    )
    known = [file.relative_to(PROJECT / SOURCES).as_posix() for file in files]
    known = [name for name in known if not name.endswith("__init__.py")]
    wanted = [name if name.endswith(".py") else f"{name}.py" for name in names]
    if unknown := set(wanted) - set(known):
        raise SystemExit(f"{', '.join(sorted(unknown))}: valid: {', '.join(known)}")
    return wanted or known


def _leave_out_types(session: Path, source: Path) -> None:
    """Annotations are never evaluated here: a mutant in one is no other program."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    spans = list(_annotations(ast.parse(source.read_text(encoding="utf-8"))))
    with use_db(str(session), WorkDB.Mode.open) as db:
        for item in db.pending_work_items:
            for mutation in item.mutations:
                if any(
                    start <= mutation.start_pos and mutation.end_pos <= end for start, end in spans
                ):
                    db.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _annotations(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end: line and column."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                yield (
                    (part.lineno, part.col_offset),
                    (part.end_lineno or 0, part.end_col_offset or 0),
                )


def _mutants(module: str, line: str) -> Iterator[Mutant]:
    """The mutant of one line of Cosmic Ray's dump, unless it was left out."""
    _, result = json.loads(line)
    if result is None:
        yield Mutant(module, "", "", "")
        return
    if result["worker_outcome"] == "skipped":
        return
    before, after = _changed(result.get("diff") or "")
    yield Mutant(module, before, after, str(result["test_outcome"] or result["worker_outcome"]))


def _changed(diff: str) -> tuple[str, str]:
    """The first line that a diff takes away and the first that it adds."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    before, after = (
        next((line[1:].strip() for line in lines if line.startswith(sign)), "") for sign in "-+"
    )
    return before, after


def report(mutants: dict[str, list[Mutant]]) -> int:
    """Prints each module's score and its survivors; 1 where one falls short."""
    short = 0
    for module, found in mutants.items():
        decided = [mutant for mutant in found if mutant.outcome]
        if not decided:
            continue
        survivors = [mutant for mutant in decided if "survived" in mutant.outcome.lower()]
        unexplained = [mutant for mutant in survivors if not mutant.explained]
        score = 1 - len(survivors) / len(decided)
        left = len(found) - len(decided)
        tail = f", {left} left to try" if left else ""
        sys.stdout.write(f"{module}: {score:.1%} of {len(decided)} mutants killed{tail}\n")
        for mutant in unexplained:
            sys.stdout.write(f"  survivor: {mutant.before}\n            {mutant.after}\n")
        short += bool(unexplained) or (not left and score < LEAST)
    return 1 if short else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries mutants, then reports; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("modules", nargs="*", metavar="ROOM/MODULE")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--report", action="store_true", help="try nothing")
    parser.add_argument("--folder", type=Path, default=PROJECT / "build" / "mutation")
    options = parser.parse_args(arguments)
    names = modules(options.modules)
    mutation = Mutation(options.folder.resolve())
    if not options.report:
        until = time.monotonic() + options.seconds
        mutation.copy()
        for name in names:
            if time.monotonic() < until:
                mutation.run(name, until)
    return report({name: mutation.mutants(name) for name in names})


if __name__ == "__main__":
    sys.exit(main())
