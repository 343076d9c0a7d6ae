"""What loading the plugin costs, beside pytest-benchmark's own, in the same run.

Times whole `pytest` processes with neither plugin, with one, and with the other, in turns, and
prints the medians and their ratios: `python -m benchmarks.startup --help`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEITHER = ("-p", "no:perfgate", "-p", "no:benchmark")
ARMS = {
    "pytest alone": NEITHER,
    "with perfgate": ("-p", "no:benchmark"),
    "with pytest-benchmark": ("-p", "no:perfgate"),
}
TASKS = {"pytest --version": ("--version",), "a run of one test": ("-q", "test_one.py")}


def main() -> None:
    """Prints a table of milliseconds, and the plugins' own cost as a ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="turns of each arm (default: 25)")
    parser.add_argument("--quick", action="store_true", help="5 turns, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    rounds = 5 if asked.quick else asked.rounds
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_one.py").write_text("def test_one():\n    pass\n")
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        for task, arguments in TASKS.items():
            found[task] = measure(folder, arguments, rounds)
    for task, medians in found.items():
        print(f"{task} ({rounds} rounds)")
        for arm, seconds in medians.items():
            print(f"  {arm:<24}{seconds * 1e3:8.1f} ms")
        alone = medians["pytest alone"]
        ours = medians["with perfgate"] - alone
        theirs = medians["with pytest-benchmark"] - alone
        print(f"  perfgate adds {ours * 1e3:.1f} ms, pytest-benchmark {theirs * 1e3:.1f} ms")
        if theirs > 0:
            print(f"  ratio of what is added: {ours / theirs:.2f}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(folder: str, arguments: tuple[str, ...], rounds: int) -> dict[str, float]:
    """Median seconds of each arm's process, arms taking turns."""
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(rounds + 1):
        for arm, options in ARMS.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", *arguments],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if turn:  # the first fills the caches of compiled code
                times[arm].append(time.perf_counter() - start)
    return {arm: statistics.median(samples) for arm, samples in times.items()}


if __name__ == "__main__":
    main()
