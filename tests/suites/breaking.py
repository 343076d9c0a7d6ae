"""Verdicts on every budget of a demo suite: of a network as it is, and of worse ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.baselines.store import Baseline, StoredMetric
from pytest_perfgate.metric import PERFORMANCE, Metric
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.recipe import Budget, Recipe, Suite
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks import Task
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, SPREAD, launches, stored

ROOT = Path(__file__).resolve().parents[2]


def suite(name: str) -> Suite:
    """A suite below `suites/`."""
    result = read(ROOT / f"suites/{name}/recipes.toml", ROOT).suite
    assert result is not None
    return result


def accuracy_beside(task: Task, data: Any, ours: Sequence[Any], right: Sequence[Any]) -> Accuracy:
    """The accuracy of predictions, with the metrics that compare them with the right ones."""
    accuracy = task.evaluate(data, ours)
    sums = task.compare(task.pack(ours), task.pack(right))
    ratios = {
        name: Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
        for name, (top, bottom) in sums.items()
    }
    values = {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in sums.items()}
    return accuracy.model_copy(
        update={"values": accuracy.values | values, "ratios": accuracy.ratios | ratios}
    )


def record(
    recipe: Recipe,
    accuracy: Accuracy,
    seconds: float = 0.010,
    size: int = 400_000,
    memory: int = 100,
) -> RecipeRecord:
    """A measured recipe."""
    return RecipeRecord(
        name=recipe.name,
        reference=recipe.reference,
        parent="",
        artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
        launches=launches(seconds, memory=memory),
        accuracy=accuracy,
    )


def far_worse(recipe: Recipe, accuracy: Accuracy) -> RecipeRecord:
    """A recipe that predicts as it did, 500 times as slowly, large, and in much memory."""
    return record(recipe, accuracy, 5.0, 3_000_000, 900)


def status(
    budget: Budget,
    recipe: Recipe,
    candidate: RecipeRecord,
    right: Accuracy,
    scores: Mapping[str, Metric],
) -> Status:
    """The verdict on a candidate beside a reference of 20 ms and 1 MB, and beside a stored baseline
    of 10 ms and 400 kB, both with the `right` accuracy. `scores` are the task's metrics.
    """
    metrics = dict(stored(0.010).metrics)
    kept = {name: right.values[name] for name in scores if name in right.values}
    for name, value in (*kept.items(), ("artifact_size", 400_000.0)):
        unit = (scores.get(name) or PERFORMANCE[name]).unit
        metrics[name] = StoredMetric(unit=unit, value=value)
    metrics["peak_memory"] = StoredMetric(
        unit=PERFORMANCE["peak_memory"].unit,
        value=100e6,
        launches=tuple(100e6 * factor for factor in SPREAD),
    )
    baseline: Baseline = stored(0.010).model_copy(update={"metrics": metrics, "accuracy": right})
    evidence = Evidence(
        record=candidate,
        reference=record(recipe, right, 0.020, 1_000_000, 100),
        baseline=baseline,
        yardstick=launches(0.003),
    )
    metric = scores.get(budget.metric) or PERFORMANCE[budget.metric]
    return judge(budget, metric, evidence, RISK, NOW).status
