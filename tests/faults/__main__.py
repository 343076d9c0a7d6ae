"""Breaks the project on purpose, and prints the tables of docs/reliability.md.

    python -m tests.faults                  # 200 suite files, 100 of every other kind, every place
    python -m tests.faults --count 1000     # for the night
    python -m tests.faults --places 20      # 20 of the places, evenly spread
    python -m tests.faults --places 0       # damaged files alone

The exit code is 1 where a promise was broken; each such case is printed with its number, which with
`--seed` makes it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.formats import FORMATS
from tests.faults.fuzzing import Outcome, fuzz
from tests.faults.models import FORM as MODELS
from tests.faults.models import fuzz_models
from tests.faults.places import Fault, Project, faults, recorded

_ALL = -1
_MODES = ("error", "kill", "half")


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the damages")
    parser.add_argument(
        "--places", type=int, default=_ALL, help="places that fail; default: every one"
    )
    parser.add_argument("--only", default="", help="formats whose names begin so")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        broken = _files(options, folder)
        if options.places:
            broken += _places(options.places, folder)
    return 1 if broken else 0


def _files(options: argparse.Namespace, folder: Path) -> int:
    outcomes = []
    for form in FORMATS:
        if form.name.startswith(options.only):
            count = options.count * (2 if form.name == "suite files" else 1)
            outcomes.append(fuzz(form, count, folder / form.name, seed=options.seed))
            _say(outcomes[-1])
    if MODELS.name.startswith(options.only):
        (folder / "models").mkdir()
        outcomes.append(fuzz_models(options.count, folder / "models", seed=options.seed))
        _say(outcomes[-1])
    print("\n| damaged | files | read | refused | raw errors or late | limit | slowest |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for outcome in outcomes:
        files = outcome.read + outcome.refused + len(outcome.findings)
        print(
            f"| {outcome.format} | {files} | {outcome.read} | {outcome.refused} "
            f"| {len(outcome.findings)} | {outcome.seconds:.0f} s | {outcome.slowest:.1f} s |"
        )
    return sum(len(outcome.findings) for outcome in outcomes)


def _say(outcome: Outcome) -> None:
    for finding in outcome.findings:
        print(f"{outcome.format} {finding.number}: {finding.problem}", file=sys.stderr, flush=True)


def _places(most: int, folder: Path) -> int:
    project = Project(folder / "template")
    project.make()
    places = recorded(project, folder)
    chosen = places
    if most != _ALL and most < len(places):
        chosen = [places[len(places) * index // most] for index in range(most)]
    done = []
    for fault in faults(project, chosen, folder):
        done.append(fault)
        state = "; ".join(fault.problems) or ("as promised" if fault.happened else "not reached")
        print(f"{fault.mode} at {fault.place}: {state}", file=sys.stderr, flush=True)
    print(f"\n{len(chosen)} of {len(places)} places\n")
    print("| process | what failed | places | as an error | as a kill | halfway |")
    print("| --- | --- | --- | --- | --- | --- |")
    kinds = dict.fromkeys(tuple(fault.place.split()[:2]) for fault in done)
    for process, kind in kinds:
        own = [fault for fault in done if fault.place.startswith(f"{process} {kind} ")]
        cells = [_kept([fault for fault in own if fault.mode == mode]) for mode in _MODES]
        count = len({fault.place for fault in own})
        print(f"| {process} | {kind} | {count} | {' | '.join(cells)} |")
    return sum(bool(fault.problems) for fault in done)


def _kept(own: Sequence[Fault]) -> str:
    counts = Counter(
        "not reached" if not fault.happened else "broken" if fault.problems else "as promised"
        for fault in own
    )
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "-"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
