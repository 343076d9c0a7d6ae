"""What the budgets that `pytest-perfgate init` writes see, on the demo suites.

Copies a demo suite into a project of its own, gives its recipes the budgets of `init`, and runs
`pytest-perfgate prove` there: `python -m benchmarks.prove digits/int8 text/int8`. The cache may be
given, so that a second run builds nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_facts import DataFacts, Pictures
from pytest_perfgate.cli.init_suite import OF_EVERY_RECIPE, budgets

_ROOT = Path(__file__).parents[1]
_BUDGETS = re.compile(r"\[recipe\.budgets\]\n(?:[^\n\[]+\n)*")
QUICK = "class_dropped"
"""Fault that is planted for a first look."""

_REFERENCE = re.compile(r"^from\s*=", re.MULTILINE)


def facts(suite: str) -> DataFacts:
    """What `init` would know of the suite's validation images."""
    import numpy as np

    code = (
        "import json\n"
        f"from suites.{suite}.data import validation\n"
        "data = validation()\n"
        "own = data.instances\n"
        "sizes = len(data.images), len(own.categories)\n"
        "print(json.dumps([sizes, own.image.tolist(), own.category.tolist()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    sizes, images, categories = json.loads(done.stdout.splitlines()[-1])
    objects = np.zeros(sizes, np.int64)
    np.add.at(objects, (images, categories), 1)
    names = tuple(str(index) for index in range(len(objects)))
    return DataFacts(("detection",), Pictures(Path(), names, True), None, objects=objects)


def with_budgets(text: str, data: DataFacts) -> str:
    """A suite file whose recipes have the budgets of `init`."""
    scores = budgets(data, "detection", scored=True, lines=[])
    tables = []
    for table in re.split(r"(?=^\[\[recipe\]\])", text, flags=re.MULTILINE):
        own = scores.derived if _REFERENCE.search(table) else scores.reference
        rows = "\n".join(("[recipe.budgets]", *own, *OF_EVERY_RECIPE))
        tables.append(_BUDGETS.sub(f"{rows}\n", table))
    return "".join(tables)


def main() -> None:
    """Prints what each run says, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", metavar="SUITE/RECIPE")
    parser.add_argument("--cache", type=Path, help="folder of the cache (default: a temporary one)")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK} only and no harmless change, for 20 s"
    )
    parser.add_argument("--json", type=Path, metavar="DIR", help="folder for the results as JSON")
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    arguments, more = parser.parse_known_args()
    if arguments.quick:
        more += ["--fault", QUICK, "--harmless", "0", "--seconds", "20"]
    sums = []
    with tempfile.TemporaryDirectory(prefix="perfgate-prove-") as folder:
        root = Path(folder)
        cache = (arguments.cache or root / ".perfgate").absolute()
        for name in arguments.recipes:
            suite = name.partition("/")[0]
            place = root / "suites" / suite
            shutil.copytree(_ROOT / "suites" / suite, place, dirs_exist_ok=True)
            for module in (_ROOT / "suites").glob("*.py"):  # that several suites share
                shutil.copy(module, root / "suites")
            file = place / "recipes.toml"
            file.write_text(with_budgets(file.read_text(), facts(suite)))
            result = (arguments.json or root).absolute() / f"{name.replace('/', '_')}.json"
            command = ["prove", name, "--cache", str(cache), "--json", str(result), *more]
            (root / "pytest.ini").write_text("[pytest]\n")
            done = subprocess.run(
                [sys.executable, "-m", "pytest_perfgate.cli.main", *command], cwd=root, check=False
            )
            if done.returncode > 1:
                sys.exit(done.returncode)
            sums.append(summary(name, json.loads(result.read_text())))
    print("\n".join(sums))


def summary(name: str, proof: dict[str, Any]) -> str:
    """One line."""

    def red(row: dict[str, Any]) -> bool:
        bad = {"FAIL", "ERROR"}
        return any(cell["counts"] and cell["status"] in bad for cell in row["cells"])

    faults = [row for row in proof["faults"] if not row["absent"]]
    return (
        f"{name}: {sum(map(red, faults))} of {len(faults)} seen, "
        f"{sum(map(red, proof['harmless']))} of {len(proof['harmless'])} red, "
        f"{proof['launches']} launches, {proof['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
