"""`pytest-perfgate cache`: lists, verifies and cleans up the cache of built artifacts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.cli import options
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.units import Unit, count_of, parse, show

if TYPE_CHECKING:
    from pytest_perfgate.building.cache_contents import Item

_DAY = 24 * 3600.0
_KINDS = """\
An entry is an artifact (onnx, torch, …), the evaluation of one with what its runtime
compiled, the files fetched from a location, the checkpoints of an unfinished training, the
cache of a step, the results of a search, a crash file, or what a killed session left.
Sessions compare every file with its digest before they use it, and build or fetch anew what
was changed.
"""
_GC = """\
Removes entries, those first that no session used for the longest time. Results of searches
stay. What a running session may use stays: all that was used since it began, and what
several entries share. Without --yes nothing is deleted.

  pytest-perfgate cache gc --days 30 --yes           # not used for 30 days
  pytest-perfgate cache gc --max-size "5 GB" --yes   # keep at most 5 GB
"""


def add_command(commands: Any) -> None:
    """Adds the command and its actions to the subparsers of `pytest-perfgate`."""
    cache = commands.add_parser(
        "cache",
        help="list, verify and clean up the cache of built artifacts",
        description=_KINDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = cache.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser(
        "list", help="list every entry: kind, size, age, and what it is made of"
    )
    listed.add_argument("--files", action="store_true", help="list the project's files, too")
    listed.set_defaults(run=_list)
    verify = actions.add_parser(
        "verify",
        help="compare each entry that has digests with them; exit code 1 where one is damaged",
    )
    verify.set_defaults(run=_verify)
    collect = actions.add_parser(
        "gc",
        help="remove entries by age or total size",
        description=_GC,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    collect.add_argument(
        "--days",
        type=options.number("days, such as 30"),
        metavar="N",
        help="remove what was not used for N days",
    )
    collect.add_argument(
        "--max-size", type=_size, metavar="SIZE", help='keep at most this much, such as "5 GB"'
    )
    collect.add_argument("--yes", action="store_true", help="delete the listed entries")
    collect.set_defaults(run=_gc)
    for action in (listed, verify, collect):
        options.add_folder(action, "--cache", ".perfgate", "folder of the cache")


def _size(text: str) -> float:
    try:
        return parse(text, Unit.BYTES)
    except PerfgateError as error:
        raise argparse.ArgumentTypeError(f"{error.problem}; valid: {error.valid}") from error


def _list(requested: argparse.Namespace) -> int:
    from pytest_perfgate.building import cache_contents

    root = _there(requested.cache)
    listed = cache_contents.items(root)
    _print(listed, files=requested.files)
    print(f"{_total(listed)} in {root}")
    return 0


def _verify(requested: argparse.Namespace) -> int:
    from pytest_perfgate.building import cache_access, cache_contents

    root = _there(requested.cache)
    note = cache_access.refuse_others(root)
    if note:
        print(note)
    verified = cache_contents.verify(root)
    for damage in verified.damages:
        item, file = damage.item, damage.item.paths[0] / damage.file
        print(f"damaged: {short_path(file, Path.cwd())} ({item.kind} {item.about})".strip())
    rest = _without_digests(verified.uncompared)
    compared = count_of(verified.compared, "entry", "entries")
    if verified.damages:
        print(
            f"{len(verified.damages)} of {compared} damaged; the next session that needs one "
            f"builds it anew{rest}"
        )
        return 1
    print(f"{compared}, each as it was stored{rest}")
    return 0


def _without_digests(kinds: Mapping[str, int]) -> str:
    """The entries of `cache list` that `cache verify` cannot compare."""
    if not kinds:
        return ""
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"; {count_of(sum(kinds.values()), 'entry has', 'entries have')} no digest: {listed}"


def _gc(requested: argparse.Namespace) -> int:
    from pytest_perfgate.building import cache_contents

    root = _there(requested.cache)
    if requested.days is None and requested.max_size is None:
        raise PerfgateError(
            "neither an age nor a size is given", next_step="pytest-perfgate cache gc --days 30"
        )
    older = None if requested.days is None else requested.days * _DAY
    going, held = cache_contents.removable(root, older=older, largest=requested.max_size)
    stayed = cache_contents.collect(root, going) if requested.yes else []
    gone = [item for item in going if item not in stayed]
    _print(gone)
    print(f"{'deleted' if requested.yes else 'would delete'} {_total(gone)}")
    held += stayed
    if held:
        print(f"kept {_total(held)}, which a running session may use")
    if gone and not requested.yes:
        print("the same with --yes deletes them")
    return 0


def _print(listed: Iterable[Item], *, files: bool = False) -> None:
    now = time.time()
    for item in listed:
        age = f"{max(0.0, now - item.used) / _DAY:.1f} days"
        rests = f", rests on {count_of(len(item.files), 'file')}" if item.files else ""
        size = show(item.size, Unit.BYTES)
        print(f"{item.kind:<15} {size:>8} {age:>11}  {item.about}{rests}")
        for file in item.files if files else ():
            print(f"{'':<38}{file}")


def _total(listed: list[Item]) -> str:
    size = show(sum(item.size for item in listed), Unit.BYTES)
    return f"{count_of(len(listed), 'entry', 'entries')}, {size}"


def _there(root: Path) -> Path:
    if not root.is_dir():
        raise PerfgateError(
            "there is no cache here",
            where=str(root),
            next_step="pytest --perf builds one; another folder: --cache DIR",
        )
    return root
