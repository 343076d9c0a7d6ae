"""A family of backbones on the handwritten digits, beside each other in one session:
`python -m benchmarks.backbones --help`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import show

from benchmarks.recipes import ROOT, measure

FILE = ROOT / "suites" / "backbones" / "recipes.toml"
QUICK = ("own",)
_SCORES = ("accuracy", "precision", "recall", "f1")
_COSTS = ("latency_p50", "peak_memory", "load_time")


def table(records: Sequence[RecipeRecord]) -> list[str]:
    """A row for each recipe that was measured, the most accurate first; the others with why not."""
    told = [
        f"{'recipe':<20}{'accuracy':>9}{'precision':>10}{'recall':>8}{'F1':>8}{'latency':>10}"
        f"{'memory':>9}{'load':>9}{'parameters':>12}{'MACs':>9}  backbone"
    ]
    sizes = _own_sizes(records)
    scored = [(each, each.accuracy.values) for each in records if each.accuracy]
    for record, values in sorted(scored, key=lambda each: -each[1]["accuracy"]):
        effect = _replaced(record) or sizes
        scores = [f"{values[name]:.4f}" for name in _SCORES]
        costs = [_cost(record, name) for name in _COSTS]
        told.append(
            f"{record.name:<20}{scores[0]:>9}{scores[1]:>10}{scores[2]:>8}{scores[3]:>8}"
            f"{costs[0]:>10}{costs[1]:>9}{costs[2]:>9}{effect.get('parameters', 0):>12,}"
            f"{effect.get('macs', 0.0) / 1e6:>7.1f} M  {effect.get('backbone', 'not known')}"
        )
    told += [
        f"{each.name:<20}not measured: {each.failure.problem[:80]}"
        for each in records
        if each.failure
    ]
    return told


def figures(records: Sequence[RecipeRecord]) -> list[dict[str, Any]]:
    """Of each recipe its scores (0 to 1), its costs in the units of the metrics (s, bytes), and
    what the step says of the backbone; or the problem for which it was not measured.
    """
    return [
        {
            "recipe": each.name,
            "scores": each.accuracy.values if each.accuracy else None,
            "costs": {name: level(each, PERFORMANCE[name]) for name in _COSTS},
            "backbone": dict(_replaced(each)),
            "problem": each.failure.problem if each.failure else None,
        }
        for each in records
    ]


def _replaced(record: RecipeRecord) -> Mapping[str, Any]:
    """What the step says of the model that it made."""
    return next((link.effect for link in record.lineage if link.step == "backbone"), {})


def _own_sizes(records: Sequence[RecipeRecord]) -> Mapping[str, Any]:
    """Of the suite's own model, which every step found before it."""
    found = next((effect for each in records if (effect := _replaced(each))), None)
    if found is None:
        return {}
    return {
        "backbone": "its own",
        "parameters": found["parameters_before"],
        "macs": found["macs_before"],
    }


def _cost(record: RecipeRecord, name: str) -> str:
    value = level(record, PERFORMANCE[name])
    return "-" if value is None else show(value, PERFORMANCE[name].unit)


def main() -> None:
    """Trains and measures the recipes of suites/backbones and prints what they are worth."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backbones", description=main.__doc__
    )
    parser.add_argument("recipes", nargs="*", help="default: all of suites/backbones")
    parser.add_argument("--seconds", type=float, default=90.0, help="of measuring (default: 90)")
    parser.add_argument(
        "--quick", action="store_true", help=f"{', '.join(QUICK)} only, measured for 5 s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    names, seconds = (QUICK, 5.0) if asked.quick else (asked.recipes, asked.seconds)
    record = measure(names, seconds, FILE, "backbones")
    print(f"\r{len(record.yardstick)} launches{'':<90}")
    print("\n".join(table(record.recipes)))
    if asked.json:
        asked.json.write_text(json.dumps(figures(record.recipes), indent=1) + "\n")


if __name__ == "__main__":
    main()
