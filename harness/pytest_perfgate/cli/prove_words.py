"""What `pytest-perfgate prove` says on a terminal: the matrix, and the budgets that are missing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pytest_perfgate.cli.prove_record import Cell, Proof, Row
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import count_of

_WIDTH = 100

_SIGNS = {
    Status.FAIL: "FAIL",
    Status.ERROR: "ERROR",
    Status.PASS: "pass",
    Status.INCONCLUSIVE: "open",
}


def words(proof: Proof) -> list[str]:
    """All lines, in their order."""
    return [
        *_head(proof),
        "",
        *_matrix(proof),
        *_errors(proof),
        "",
        *_harmless(proof),
        *_absent(proof),
        *_missing(proof),
        "",
        _answer(proof),
    ]


def _head(proof: Proof) -> Iterator[str]:
    yield f"{proof.suite}/{proof.recipe}  on {proof.machine.id}"
    for number, (name, line) in enumerate(proof.budgets.items(), 1):
        yield f"  [{number}] {line}"
        if name in proof.before:
            yield from _wrapped(f"red without any fault, counts for nothing: {proof.before[name]}")


def _matrix(proof: Proof) -> Iterator[str]:
    """Fault by budget."""
    rows = proof.applicable
    width = max([len("fault"), *(len(row.name) for row in rows)])
    numbers = [f"[{number}]" for number in range(1, len(proof.budgets) + 1)]
    cells = [[_cell(cell) for cell in row.cells] for row in rows]
    columns = [
        max(len(number), *(len(row[at]) for row in cells), 1) if cells else len(number)
        for at, number in enumerate(numbers)
    ]
    yield _row("fault", numbers, columns, width, "seen by")
    for row, texts in zip(rows, cells, strict=True):
        yield _row(row.name, texts, columns, width, _seen_by(row))


def _row(name: str, texts: Sequence[str], columns: Sequence[int], width: int, last: str) -> str:
    middle = "  ".join(text.ljust(size) for text, size in zip(texts, columns, strict=True))
    return f"{name.ljust(width)}  {middle}  {last}".rstrip()


def _cell(cell: Cell) -> str:
    if cell.status is None:
        return "-"
    sign = _SIGNS.get(cell.status, cell.status.value)
    return sign if cell.counts else f"({sign})"


def _seen_by(row: Row) -> str:
    if not row.red:
        return "NOBODY"
    return "every budget: ERROR" if _is_checked(row) else ", ".join(row.red)


def _is_checked(row: Row) -> bool:
    """Whether a check of perfgate's own ended the recipe, so that every budget is an error."""
    counted = [cell for cell in row.cells if cell.counts]
    return bool(counted) and all(cell.status is Status.ERROR for cell in counted)


def _errors(proof: Proof) -> Iterator[str]:
    """What perfgate's own checks said of faults that made every budget an error."""
    checked = [row for row in proof.applicable if _is_checked(row)]
    if checked:
        yield ""
        yield "errors, whatever the budgets are:"
    for row in checked:
        reason = next(cell.reason for cell in row.cells if cell.red)
        yield from _wrapped(f"{row.name}: {reason}")


def _harmless(proof: Proof) -> Iterator[str]:
    timed = [row for row in proof.harmless if row.timed]
    if not proof.harmless:
        return
    reds = proof.false_alarms
    launches = max((row.timed for row in timed), default=0)
    how = f"{len(timed)} timed in {count_of(launches, 'launch', 'launches')}; the others judged by "
    yield (
        f"{count_of(len(proof.harmless), 'harmless change', 'harmless changes')}: {len(reds)} red "
        f"({how if timed else 'judged by '}all that needs no launch)"
    )
    for row in reds:
        cell = next(cell for cell in row.cells if cell.red)
        yield from _wrapped(f"{row.name} turns {cell.metric} red: {cell.reason}")


def _absent(proof: Proof) -> Iterator[str]:
    absent = [row for row in proof.faults if row.absent]
    if absent:
        yield ""
        yield "does not apply:"
    for row in absent:
        yield from _wrapped(f"{row.name}: {row.absent}")


def _missing(proof: Proof) -> Iterator[str]:
    if not proof.unseen:
        return
    yield ""
    yield f"no budget of {proof.recipe} sees {count_of(len(proof.unseen), 'fault', 'faults')}:"
    for row in proof.unseen:
        size = f" {row.size}" if row.size else ""
        yield from _wrapped(f"{row.name}{size}: {row.what}")
        if row.hint:
            yield from _wrapped(row.hint, "    ")
    lines: dict[str, list[str]] = {}
    for row in proof.unseen:
        for line in row.lines:
            lines.setdefault(line, []).append(row.name)
    if lines:
        yield ""
        yield "[recipe.budgets]  # each line was red with its fault, and not without it"
    for line, names in lines.items():
        metric = line.partition(" ")[0]
        old = f"  # replaces {proof.budgets[metric]}" if metric in proof.budgets else ""
        yield f"# sees {', '.join(names)}"
        yield f"{line}{old}"


def _answer(proof: Proof) -> str:
    applicable, unseen = proof.applicable, proof.unseen
    return (
        f"{len(applicable) - len(unseen)} of {count_of(len(applicable), 'fault', 'faults')} seen, "
        f"{len(proof.false_alarms)} of {len(proof.harmless)} harmless changes red, "
        f"{proof.launches} launches, {proof.seconds:.0f} s"
    )


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False
    )
