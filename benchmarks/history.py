"""A year of nights of a large project: how long the nightly page takes, and how large it is.

    python -m benchmarks.history                 1,000 recipes, 365 nights
    python -m benchmarks.history --quick         60 recipes, in less than a minute
    python -m benchmarks.history --json FILE     and the figures as JSON
    python -m benchmarks.history --keep DIR      leave the store and the page there

The measurements are made up: lognormal noise, a machine that drifts, steps, slow drift, a night
of outliers, flaky budgets. They are written by the store's own bulk form, a file per night.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytest_perfgate.files import put
from pytest_perfgate.history.analysis import analyse
from pytest_perfgate.history.engine import connect
from pytest_perfgate.history.findings import Choices
from pytest_perfgate.history.nights import Series, read
from pytest_perfgate.history.page import render
from pytest_perfgate.history.rows import COLUMNS, YARDSTICK
from pytest_perfgate.history.store import History
from pytest_perfgate.history.watch import watch
from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.metric import PERFORMANCE, Better, Metric, Rule
from pytest_perfgate.units import Unit

TARGET_SECONDS, TARGET_BYTES = 20.0, 3_000_000

MAP = Metric("map", Unit.SCORE, Better.HIGHER, Rule.IMAGES, False, "Mean average precision.")
LEVELS = {
    "map": 0.75,
    "latency_p50": 0.030,
    "latency_p95": 0.040,
    "preprocess_p50": 0.0005,
    "inference_p50": 0.028,
    "inference_p95": 0.037,
    "postprocess_p50": 0.0008,
    "throughput": 40.0,
    "peak_memory": 180e6,
    "artifact_size": 44e6,
    "load_time": 0.05,
    "build_time": 30.0,
}
METRICS = (
    MAP,
    *(PERFORMANCE[name] for name in PERFORMANCE if name in LEVELS),
)
BUDGETED = {"map": ("min", 0.70), "latency_p50": ("max", 0.045), "peak_memory": ("max", 400e6)}
NOISE = {Rule.LAUNCHES: 0.01, Rule.IMAGES: 0.0, Rule.EXACT: 0.0, Rule.ONCE: 0.05}
PER_SUITE = 50

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """What was put into the measurements: recipe number to the night of a step and its size as a
    log ratio; recipes that drift, by how much over all nights; recipes whose verdicts flip.
    """

    steps: dict[int, tuple[int, float]]
    drifts: dict[int, float]
    flaky: tuple[int, ...]


def plant(recipes: int, nights: int) -> Planted:
    """One recipe in fifty steps, the newest of them three nights ago; one in a hundred drifts."""
    generator = np.random.default_rng(7)
    picked = [int(each) for each in generator.permutation(np.arange(1, recipes))]
    picked = [each for each in picked if each % PER_SUITE]  # references move all of their suite
    stepping = picked[: max(3, recipes // 50)]
    places = [nights - 3, *generator.integers(nights // 8, nights - 8, len(stepping) - 1)]
    sizes = generator.choice([-0.15, 0.08, 0.12, 0.25], len(stepping))
    sizes[0] = 0.12
    rest = picked[len(stepping) :]
    drifting = rest[: max(1, recipes // 100)]
    return Planted(
        steps={
            recipe: (int(night), float(size))
            for recipe, night, size in zip(stepping, places, sizes, strict=True)
        },
        drifts=dict.fromkeys(drifting, 0.10),
        flaky=tuple(rest[len(drifting) : len(drifting) + max(1, recipes // 200)]),
    )


def fill(store: History, recipes: int, nights: int, last: datetime) -> int:
    """Writes the nights, one file each; returns the rows of a night."""
    generator = np.random.default_rng(11)
    planted = plant(recipes, nights)
    factors = generator.uniform(0.15, 1.0, recipes)
    factors[::PER_SUITE] = 1.0
    machine = this_machine()
    fixed = {
        "machine": machine.id,
        "fingerprint": json.dumps(machine.model_dump(mode="json")),
        "environment": json.dumps(this_environment().model_dump(mode="json")),
        "command": "pytest --perf",
    }
    drift = np.cumsum(generator.normal(0, 0.004, nights))
    names = np.arange(recipes)
    for night in range(nights):
        started = last - timedelta(days=nights - 1 - night)
        outlier = 0.3 if night == nights // 2 else 0.0
        columns = _night(generator, planted, factors, names, night, float(drift[night]) + outlier)
        head = {
            **fixed,
            "session": f"{started:%Y%m%d-%H%M%S}",
            "started": f"{started:%Y-%m-%d %H:%M:%S}",
            "seconds": 3600.0 + 60.0 * float(generator.normal()) + 2.0 * night,
            "commit": f"{night // 2 * 2654435761 % 2**64:016x}" * 2 + "0" * 8,
        }
        _write(store, head, columns)
    return recipes * len(METRICS)


def _night(
    generator: np.random.Generator,
    planted: Planted,
    factors: Array,
    names: NDArray[np.int64],
    night: int,
    drift: float,
) -> dict[str, NDArray[Any]]:
    """The columns of one night, metric by metric; times move with the machine, ratios do not."""
    moved = np.zeros(len(names))
    for recipe, (first, size) in planted.steps.items():
        moved[recipe] += size if night >= first else 0.0
    for recipe, size in planted.drifts.items():
        moved[recipe] += size * night / 365
    reference = names % PER_SUITE == 0
    parts: dict[str, list[NDArray[Any]]] = {}
    for metric in METRICS:
        noise = NOISE[metric.rule]
        rate = metric.unit is Unit.IMAGES_PER_SECOND
        timed = metric.rule is Rule.LAUNCHES and (rate or metric.unit is Unit.SECONDS)
        sign = -1.0 if rate else 1.0
        logs = noise * generator.standard_t(6, len(names))
        scale = np.log(factors) * sign if timed else np.log(0.5 + factors / 2)
        if metric is MAP:
            scale = 0.02 * (factors - 1)
        if metric.name in {"latency_p50", "inference_p50", "throughput"}:
            logs = logs + moved * sign
        compared = np.exp(scale + logs)
        base = LEVELS[metric.name]
        value = base * compared * (np.exp(sign * drift) if timed else 1.0)
        wide = np.exp(2 * noise) if metric.rule is Rule.LAUNCHES else 1.02
        has = metric.rule in {Rule.LAUNCHES, Rule.IMAGES}
        if not timed:
            compared = value
        through = np.where(reference, YARDSTICK, "fp32") if timed else np.full(len(names), "")
        kind, limit = BUDGETED.get(metric.name, ("", 0.0))
        status = np.full(len(names), "PASS" if kind else "", dtype=object)
        if metric.name == "latency_p50":
            limit = LEVELS[metric.name] * 1.5
            status[value > limit] = "FAIL"
            flips = np.array(planted.flaky)
            status[flips[generator.random(len(flips)) < 0.15]] = "FAIL"
        for name, column in {
            "recipe": names,
            "metric": np.full(len(names), metric.name),
            "unit": np.full(len(names), metric.unit.value),
            "better": np.full(len(names), metric.better.value),
            "rule": np.full(len(names), metric.rule.value),
            "relative": np.full(len(names), metric.relative),
            "value": value,
            "low": value / wide if has else np.full(len(names), np.nan),
            "high": value * wide if has else np.full(len(names), np.nan),
            "through": through,
            "compared": compared,
            "compared_low": compared / wide if has else np.full(len(names), np.nan),
            "compared_high": compared * wide if has else np.full(len(names), np.nan),
            "status": status,
            "kind": np.full(len(names), kind),
            "bound": np.full(len(names), limit),
            "kept": value * (1.03 if kind == "max" else 0.97),
        }.items():
            parts.setdefault(name, []).append(column)
    return {name: np.concatenate(each) for name, each in parts.items()}


def _write(store: History, head: dict[str, Any], columns: dict[str, NDArray[Any]]) -> None:
    """One night's file, by the store's bulk form."""
    made = {
        **{name: f"?::{COLUMNS[name]}" for name in head},
        "dirty": "false",
        "complete": "true",
        "suite": f"'suite' || (recipe // {PER_SUITE})",
        "phases": "MAP {'build': 45.0, 'measure': 135.0}",
        "launches": "8",
        "recipe": f"CASE WHEN recipe % {PER_SUITE} = 0 THEN 'fp32' ELSE 'recipe' || recipe END",
        "reference": "'fp32'",
        "spec": "'0123456789abcdef'",
        "failure": "NULL",
        "sample": "8",
        "samples": "256",
        "status": "nullif(status, '')",
        "reason": "''",
        "limits": "CASE WHEN kind = '' THEN [] ELSE [{'kind': kind, 'text': kind, 'status': "
        "status, 'scale': 'value', 'limit': bound, 'estimate': value, 'low': low, 'high': high, "
        "'kept': kept}] END",
    }
    made |= {
        name: f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
        for name in ("low", "high", "compared_low", "compared_high")
    }
    listed = ", ".join(f'{made.get(name, name)} AS "{name}"' for name in COLUMNS)
    month = f"month={head['started'][:7]}"
    (store.folder / month).mkdir(parents=True, exist_ok=True)
    values = [head[name] for name in COLUMNS if name in head]
    file = store.folder / month / f"{head['session']}-synthetic.parquet"
    with tempfile.TemporaryDirectory() as scratch, connect("the history", "history") as engine:
        rows = Path(scratch, "rows.parquet")
        engine.register("night_rows", columns)
        engine.execute(f"COPY night_rows TO '{rows}' (FORMAT parquet)")
        store.export(f"SELECT {listed} FROM read_parquet(?)", [*values, str(rows)], file)  # noqa: S608 - words of this file


@dataclass(frozen=True)
class Figures:
    """What was measured: seconds of each part, bytes, and what the page found of the planted."""

    recipes: int
    nights: int
    rows: int
    written_s: float
    store_bytes: int
    read_s: float
    analysed_s: float
    rendered_s: float
    page_bytes: int
    steps_planted: int
    steps_found: int
    drifts_planted: int
    drifts_found: int
    steps_wrong: int
    python: str = platform.python_version()

    @property
    def built_s(self) -> float:
        """From the store to the page."""
        return self.read_s + self.analysed_s + self.rendered_s


def measure(recipes: int, nights: int, folder: Path) -> Figures:
    """Makes the store below `folder` and the page beside it."""
    last = datetime(2026, 11, 24, 2, tzinfo=UTC)
    store_folder = folder / "history"
    start = time.perf_counter()
    with History(store_folder) as store:
        rows = fill(store, recipes, nights, last)
    written = time.perf_counter()
    choices = Choices()
    with History(store_folder) as store:
        past = read(store, choices.days, choices.held_for)
    loaded = time.perf_counter()
    findings = analyse(past, choices)
    analysed = time.perf_counter()
    page = render(findings, None, watch(findings, {}, last, None))
    put(folder / "nightly.html", page)
    rendered = time.perf_counter()
    planted = plant(recipes, nights)
    found = {
        (_number(move.analysis.series), int(move.earliest), int(move.latest))
        for event in findings.events
        for move in event.moves
    }
    hits = {
        recipe
        for recipe, (night, _) in planted.steps.items()
        if any(number == recipe and a <= night <= b for number, a, b in found)
    }
    drifting = {_number(each.series) for each in findings.drifting}
    return Figures(
        recipes=recipes,
        nights=nights,
        rows=rows * nights,
        written_s=written - start,
        store_bytes=sum(file.stat().st_size for file in store_folder.rglob("*.parquet")),
        read_s=loaded - written,
        analysed_s=analysed - loaded,
        rendered_s=rendered - analysed,
        page_bytes=len(page.encode()),
        steps_planted=len(planted.steps),
        steps_found=len(hits),
        drifts_planted=len(planted.drifts),
        drifts_found=len(drifting & set(planted.drifts)),
        steps_wrong=len({number for number, _, _ in found} - set(planted.steps)),
    )


def _number(series: Series) -> int:
    """The recipe's number again."""
    suite = int(series.suite.removeprefix("suite"))
    name = series.recipe
    return suite * PER_SUITE if name == "fp32" else int(name.removeprefix("recipe"))


def main() -> int:
    """Prints the figures; 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 recipes, under a minute")
    parser.add_argument("--recipes", type=int, default=1000, help="default: 1000")
    parser.add_argument("--nights", type=int, default=365, help="default: 365")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave store and page there")
    asked = parser.parse_args()
    recipes = 60 if asked.quick else asked.recipes
    if recipes < 10 or asked.nights < 40:
        parser.error("10 recipes and 40 nights at least")
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
        found = measure(recipes, asked.nights, asked.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(recipes, asked.nights, Path(folder))
    print(f"{found.recipes} recipes x {found.nights} nights, {found.rows:,} values")
    print(f"  store written   {found.written_s:7.1f} s   {found.store_bytes / 1e6:8.1f} MB")
    print(f"  read            {found.read_s:7.1f} s")
    print(f"  analysed        {found.analysed_s:7.1f} s")
    print(f"  page made       {found.rendered_s:7.1f} s   {found.page_bytes / 1e6:8.1f} MB")
    print(f"  store to page   {found.built_s:7.1f} s   (target {TARGET_SECONDS:.0f} s, 3 MB)")
    print(
        f"  steps found {found.steps_found} of {found.steps_planted}, recipes with a step that was "
        f"not planted: {found.steps_wrong}; drifts {found.drifts_found} of {found.drifts_planted}"
    )
    if asked.json:
        figures = asdict(found) | {"built_s": found.built_s}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if found.built_s <= TARGET_SECONDS and found.page_bytes <= TARGET_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
