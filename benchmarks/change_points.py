"""The change detector of the history, judged on real series that people have annotated.

    python -m benchmarks.change_points --data FOLDER               F1 and covering, beside others
    python -m benchmarks.change_points --data FOLDER --quick       series of at most 150 values
    python -m benchmarks.change_points --data FOLDER --json FILE   and each series' scores as JSON

FOLDER is a checkout or an export of the Turing Change Point Dataset, or series in its form:
`annotations.json` ({series: {annotator: [places]}}) and a JSON file for each series below.
--data may be given several times. Nothing of a data set is part of this project.

Scores are those of van den Burg and Williams 2020, "An evaluation of change point detection
algorithms", arXiv:2003.06222; the figures of their methods are in `benchmarks/published`.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytest_perfgate.stats.changepoints import trend

Array = NDArray[np.float64]
Places = Sequence[int]
Detector = Callable[[Array], list[int]]

MARGIN = 5  # places by which a detected change may miss an annotated one
LEVEL = 0.01  # of the project's false alarms, as its simulations hold it
LEVELS = (0.05, 0.01, 0.001)
QUICK = 150
PUBLISHED = Path(__file__).parent / "published"
SCORES = ("f1", "cover")


@dataclass(frozen=True)
class Annotated:
    """A series and the changes that each annotator marked, as places counted from 0."""

    name: str
    values: Array
    annotations: Mapping[str, Places]


def read(folder: Path) -> list[Annotated]:
    """The univariate series of a folder that have annotations and no missing value.

    Series with missing values are left out, as the published averages leave them out; so are the
    data set's five simulated examples (`quality_control_…`).

    Raises:
        SystemExit: the folder has no annotations, or none of their series.
    """
    source = folder / "annotations.json"
    if not source.is_file():
        raise SystemExit(f"{source} is not there: --data names a checkout of the data set")
    annotations = json.loads(source.read_text(encoding="utf-8"))
    series = []
    for path in sorted(folder.rglob("*.json")):
        if path.stem not in annotations or path.stem.startswith("quality_control"):
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["n_dim"] != 1:
            continue
        raw = document["series"][0]["raw"]
        values = np.array([math.nan if value is None else value for value in raw], dtype=float)
        if np.isfinite(values).all():
            series.append(Annotated(path.stem, values, annotations[path.stem]))
    if not series:
        raise SystemExit(f"{folder} has none of the series that its annotations.json names")
    return series


def matched(truth: Collection[int], detected: Collection[int], margin: int = MARGIN) -> int:
    """How many true changes have a detected one of their own within the margin."""
    free = set(detected)
    hits = 0
    for place in sorted(truth):
        near = [(abs(place - other), other) for other in free if abs(place - other) <= margin]
        if near:
            free.remove(min(near)[1])
            hits += 1
    return hits


def f1(annotations: Mapping[str, Places], detected: Places) -> float:
    """F1: precision against all annotators together, recall as the mean over annotators.

    Place 0 counts as a change of every annotator and of the detector, so that a series without
    changes has a score (section 4.1 of the paper).
    """
    truths = [{0, *places} for places in annotations.values()]
    answer = {0, *detected}
    precision = matched(set().union(*truths), answer) / len(answer)
    recall = fmean(matched(truth, answer) / len(truth) for truth in truths)
    return 2 * precision * recall / (precision + recall)


def cover(annotations: Mapping[str, Places], detected: Places, count: int) -> float:
    """Covering: the overlap of each annotated level with the detected level that fits it best, by
    their Jaccard index, weighted by length; the mean over annotators (section 4.1 of the paper).
    """
    return fmean(
        sum(
            (end - start) * max(_jaccard((start, end), other) for other in _levels(detected, count))
            for start, end in _levels(places, count)
        )
        / count
        for places in annotations.values()
    )


def _levels(places: Places, count: int) -> list[tuple[int, int]]:
    return list(pairwise(sorted({0, *places, count})))


def _jaccard(one: tuple[int, int], other: tuple[int, int]) -> float:
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(0, common) / (max(one[1], other[1]) - min(one[0], other[0]))


def ours(values: Array, level: float = LEVEL) -> list[int]:
    """The history's detector."""
    return [step.at for step in trend(values, level).steps]


def pelt(values: Array) -> list[int]:
    """PELT of `ruptures`: squared error on standardized values, a penalty of 3 log(n), which is
    what R's `changepoint` takes by default (Zhang and Siegmund 2007, Biometrics 63).
    """
    import ruptures

    spread = float(values.std()) or 1.0
    model: Any = ruptures.Pelt(model="l2", min_size=2, jump=1)
    ends = model.fit((values - values.mean()) / spread).predict(pen=3 * math.log(len(values)))
    return [int(end) for end in ends[:-1]]


def otava(values: Array) -> list[int]:
    """E-divisive with a t-test as Apache Otava has it, with its default window and p-value."""
    from otava.analysis import compute_change_points

    steps, _ = compute_change_points(values.tolist())
    return [int(step.index) for step in steps]


def detectors() -> dict[str, Detector]:
    """All that is installed, the project's own first."""
    rows: dict[str, Detector] = {"this project": ours, "PELT (ruptures)": pelt}
    if importlib.util.find_spec("otava"):
        rows["E-divisive (Otava)"] = otava
    else:
        print("E-divisive is not installed: pip install --no-deps apache-otava", file=sys.stderr)
    rows |= {
        f"this project at {level:.1%}": partial(ours, level=level)
        for level in LEVELS
        if level != LEVEL
    }
    return rows


def published(names: Collection[str]) -> dict[str, dict[str, float]]:
    """{score: {method: mean over the named series}}; a series where a method failed counts 0.

    Empty when a named series is not among the published ones.
    """
    means: dict[str, dict[str, float]] = {}
    for score in SCORES:
        with (PUBLISHED / f"turing_{score}.csv").open(encoding="utf-8", newline="") as file:
            rows = {row.pop("series"): row for row in csv.DictReader(file)}
        if not set(names) <= set(rows):
            return {}
        methods = next(iter(rows.values()))
        means[score] = {
            method: fmean(float(rows[name][method] or 0) for name in names) for method in methods
        }
    return means


def judge(series: Sequence[Annotated], detector: Detector) -> dict[str, dict[str, float]]:
    """{series: {score: value}}."""
    scores = {}
    for one in series:
        detected = detector(one.values)
        scores[one.name] = {
            "f1": f1(one.annotations, detected),
            "cover": cover(one.annotations, detected, len(one.values)),
        }
    return scores


def report(series: Sequence[Annotated]) -> dict[str, Any]:
    """Print the table of one data set; returns the figures."""
    scores = {name: judge(series, detector) for name, detector in detectors().items()}
    rows = {
        name: {score: fmean(value[score] for value in values.values()) for score in SCORES}
        for name, values in scores.items()
    }
    others = published([one.name for one in series])
    for method in others.get("f1", {}):
        rows[f"{method} (published)"] = {score: others[score][method] for score in SCORES}
    print(f"{'':24}{'F1':>8}{'cover':>8}")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["f1"]):
        print(f"{name:24}{row['f1']:8.3f}{row['cover']:8.3f}")
    for score, means in others.items():
        own, best = rows["this project"][score], max(means, key=means.__getitem__)
        print(
            f"{score}: {own:.3f}; best published method {best} {means[best]:.3f} "
            f"({'above' if own > means[best] else 'NOT above'}), "
            f"median {median(means.values()):.3f}"
        )
    return {"rows": rows, "series": scores}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.change_points")
    parser.add_argument("--data", type=Path, metavar="FOLDER", action="append", required=True)
    parser.add_argument("--quick", action="store_true", help=f"series of at most {QUICK} values")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    options = parser.parse_args(arguments)
    figures = {}
    for folder in options.data:
        series = read(folder)
        if options.quick:
            series = [one for one in series if len(one.values) <= QUICK]
        print(f"{folder.name}: {len(series)} series")
        figures[folder.name] = report(series)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
