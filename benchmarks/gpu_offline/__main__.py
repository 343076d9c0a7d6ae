"""`python -m benchmarks.gpu_offline collect | list | host`: see docs/gpu.md."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_offline import pieces, runs, wheels
from benchmarks.gpu_offline.pieces import Whole

_OWN = "base"  # the group that the project's own wheel is in


def main(arguments: Sequence[str] | None = None) -> int:
    """Collects wheels where there is a package index; installs and measures on a GPU host."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_offline", description=main.__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    collect = commands.add_parser("collect", help="download what the host lacks, in pieces")
    collect.add_argument("--to", type=Path, default=Path(".pieces"), help="default: .pieces")
    collect.add_argument("--python", default="3.12", help="the host's; default: 3.12")
    collect.add_argument(
        "--has", type=Path, metavar="FILE",
        help="what the host has: its `python -m pip freeze`; default: torch and what that needs",
    )  # fmt: skip
    collect.add_argument(
        "--group", action="append", choices=tuple(wheels.GROUPS), help="default: all"
    )
    listing = commands.add_parser("list", help="the pieces, their sizes, and what they make")
    listing.add_argument("--pieces", type=Path, default=Path(".pieces"))
    host = commands.add_parser("host", help="on the GPU host: join, install, measure")
    host.add_argument("--pieces", type=Path, default=Path(".pieces"))
    host.add_argument("--work", type=Path, default=Path("/tmp/perfgate-gpu"))  # noqa: S108 - of a host that is thrown away
    host.add_argument("--out", type=Path, default=Path("figures"), help="where figures go")
    host.add_argument("--run", action="append", default=[], help="only this one; default: all")
    host.add_argument(
        "--seconds", type=float, default=runs.MOST_SECONDS,
        help="of all runs together; what is left is for a later call (default: 540)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        if options.command == "collect":
            return _collect(options)
        if options.command == "list":
            _print(pieces.read_manifest(options.pieces))
            return 0
        return _host(options)
    except (pieces.DamagedPiece, wheels.NotCollected, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def _collect(options: argparse.Namespace) -> int:
    has = frozenset(wheels.BARE)
    if options.has:
        has = wheels.names_of(options.has.read_text(encoding="utf-8").splitlines())
    target = wheels.Target(options.python, has)
    fresh = Path(tempfile.mkdtemp(prefix=".pieces-", dir=options.to.absolute().parent))
    loads = pieces.Loads(fresh)
    wholes: list[Whole] = []
    failed: list[str] = []
    try:
        for group in options.group or wheels.GROUPS:
            try:
                wholes += _group(group, target, loads, {whole.name for whole in wholes})
            except wheels.NotCollected as error:
                failed.append(f"{group} was not collected: {error}")
        pieces.write_manifest(wholes, fresh)
        if options.to.exists():
            shutil.rmtree(options.to)
        fresh.replace(options.to)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _print(wholes)
    for line in failed:
        print(line, file=sys.stderr)
    return int(bool(failed))


def _group(group: str, target: wheels.Target, loads: pieces.Loads, there: set[str]) -> list[Whole]:
    with tempfile.TemporaryDirectory() as scratch:
        downloads = Path(scratch)
        if group == _OWN:
            wheels.build_own(downloads)
        wheels.download(wheels.resolved(wheels.GROUPS[group], target), target, downloads)
        wheels.download_sources(wheels.SOURCES.get(group, ()), downloads)
        files = sorted(downloads.iterdir())
        return [loads.split(file, group) for file in files if file.name not in there]


def _print(wholes: Sequence[Whole]) -> None:
    for group in dict.fromkeys(whole.group for whole in wholes):
        of_group = [whole for whole in wholes if whole.group == group]
        count = sum(len(whole.pieces) for whole in of_group)
        size = sum(whole.size for whole in of_group) / 1e6
        print(f"{group}: {len(of_group)} files, {count} pieces, {size:.1f} MB")
        for whole in of_group:
            parts = ", ".join(
                f"{piece.size / 1e6:.1f} MB in {piece.name.partition('/')[0]}"
                for piece in whole.pieces
            )
            print(f"  {whole.name}: {parts}; sha256 {whole.sha256[:16]}")


def _host(options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.seconds
    archive, site = options.work / "wheels", options.work / "site"
    files, waiting = pieces.join(options.pieces, archive)
    _install(files, site)
    lacking = {whole.group for whole in waiting}
    carried = {whole.group for whole in pieces.read_manifest(options.pieces)}
    ready, later = runs.chosen(options.run, sorted(carried - lacking))
    for run in later:
        absent = sorted(set(run.needs) - (carried - lacking))
        print(f"{run.name}: not run, needs the pieces of {', '.join(absent)}")
    paths = (str(Path("harness").absolute()), str(site), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    options.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for run in ready:
        left = min(deadline - time.monotonic(), runs.MOST_SECONDS)
        if (options.out / f"{run.name}.json").exists() or left < 1:
            reason = "no time is left" if left < 1 else "its figures are there"
            print(f"{run.name}: not run, {reason}")
            continue
        record = runs.perform(run, options.out.absolute(), environment, left)
        print(f"{run.name}: {record['ending']} with {record['exit_code']}, {record['seconds']} s")
        failed = failed or record["ending"] != "ended" or record["exit_code"] != 0
    return int(failed)


def _install(files: Sequence[Path], site: Path) -> None:
    """Installs what is not yet, into a folder of its own; source archives are built there."""
    fresh = [file for file in files if not (site / f".{file.name}").exists()]
    sources = [[file] for file in fresh if file.suffix != ".whl"]
    for batch in ([file for file in fresh if file.suffix == ".whl"], *sources):
        if not batch:
            continue
        options = [
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--no-compile",
            "--upgrade",
        ]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", site, *batch],
            check=True,
        )
        for file in batch:
            (site / f".{file.name}").touch()


if __name__ == "__main__":
    sys.exit(main())
