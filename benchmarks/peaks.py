"""How far peak memory scatters between launches: `python -m benchmarks.peaks --help`.

Recipes of the demo suite and an unchanged copy of each, in launches as a session makes them: the
standard deviation of log peaks between launches, and of the ratio of recipe and copy within them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.session.arms import copy_of
from pytest_perfgate.suite import reading

ROOT = Path(__file__).parents[1]
FILE = ROOT / "suites" / "digits" / "recipes.toml"
RECIPES = ("fp32", "onnx")


def measure(names: Sequence[str], launches: int) -> dict[str, dict[str, Any]]:
    """Recipe to its figures; bytes, and shares of a peak.

    Raises:
        RuntimeError: a recipe could not be measured.
    """
    settings = replace(for_command(ROOT, "python -m benchmarks.peaks"), rounds=4)
    suite = reading.read(FILE, ROOT).suite
    assert suite is not None
    arms = [Arm(name, suite, suite.recipes[name]) for name in names]
    arms += [Arm(copy_of(arm.label), suite, arm.recipe, copy_of=arm.label) for arm in arms]
    with Bench(arms, settings, lambda _: None) as bench:  # a neighbour changes no peak
        bench.prepare()
        blocks = [(name, copy_of(name)) for name in names]
        for number in range(launches):
            bench.launch(blocks, "", batches=(), last=number + 1 == launches)
        if bench.failures:
            raise RuntimeError(str(bench.failures))
        return {
            name: figures(bench.record(name).launches, bench.record(copy_of(name)).launches)
            for name in names
        }


def figures(ours: Sequence[Launch], copies: Sequence[Launch]) -> dict[str, Any]:
    """What the launches of a recipe and of its copy come to."""
    peaks, others = ([launch.peak_memory or 1 for launch in side] for side in (ours, copies))
    ratios = [math.log(one / other) for one, other in zip(peaks, others, strict=True)]
    return {
        "peaks": peaks,
        "mean": statistics.fmean(peaks),
        "between launches": statistics.stdev(map(math.log, peaks)),
        "recipe to copy": statistics.stdev(ratios),
    }


def main() -> None:
    """Prints a line for each recipe."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peaks", description=main.__doc__)
    parser.add_argument("recipes", nargs="*", default=RECIPES, help="default: fp32 onnx")
    parser.add_argument("--launches", type=int, default=20, help="default: 20")
    parser.add_argument("--quick", action="store_true", help="4 launches, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    result = measure(options.recipes, 4 if options.quick else options.launches)
    for name, row in result.items():
        print(
            f"{name:<16}{row['mean'] / 1e6:8.1f} MB  {row['between launches']:.2%} between launches"
            f"  {row['recipe to copy']:.2%} to its copy  ({len(row['peaks'])} launches)"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
