"""Verdicts on every budget of a demo suite: of a network as it is, and of worse ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Recipe, Suite
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.suite.metrics import metrics_of, task_of
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks import Task
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge

from tests.verdicts.judging import NOW, RISK, SPREAD, launches, stored

ROOT = Path(__file__).resolve().parents[2]


def suite(name: str) -> Suite:
    """A suite below `suites/`, without errors: a recipe with one has no budget to break."""
    file = read(ROOT / f"suites/{name}/recipes.toml", ROOT)
    assert file.suite is not None
    assert not file.problems, file.problems
    return file.suite


def budgets(suites: Mapping[str, Suite]) -> list[Any]:
    """Parameters of a test of each budget: the suite's name, the recipe, the budget."""
    return [
        pytest.param(name, recipe, budget, id=f"{name}-{recipe.name}-{budget.metric}")
        for name, one in suites.items()
        for recipe in one.recipes.values()
        for budget in recipe.budgets
    ]


@dataclass(frozen=True)
class Scored:
    """Accuracies of a network as it is, and of worse ones by what is wrong with them."""

    right: Accuracy
    worse: Mapping[str, Accuracy]


def scored(task: Task, data: Any, right: Sequence[Any], **worse: Sequence[Any]) -> Scored:
    """Accuracies of predictions, each with the metrics that compare it with the right ones."""
    return Scored(
        accuracy_beside(task, data, right, right),
        {name: accuracy_beside(task, data, ours, right) for name, ours in worse.items()},
    )


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


def of_images(seconds: float, memory: int) -> tuple[Launch, ...]:
    """Launches that time images; `memory` in MB."""
    return launches(seconds, memory=memory)


class Verdicts(NamedTuple):
    """Statuses of one budget: of the recipe as it is, and of worse ones."""

    right: Status
    worse: list[Status]


@dataclass(frozen=True)
class Trial:
    """One budget of a recipe, beside a reference of 20 ms and 1 MB, and beside a stored baseline of
    10 ms and 400 kB, both with the `right` accuracy.

    Attributes:
        launched: launches of so many seconds and MB.
        large: bytes of an artifact that is far too large.
    """

    task: str
    recipe: Recipe
    budget: Budget
    right: Accuracy
    launched: Callable[[float, int], tuple[Launch, ...]] = of_images
    large: int = 3_000_000

    def verdicts(self, worse: Sequence[Accuracy]) -> Verdicts:
        """Worse: a recipe of each accuracy; where the budget is not on a score, one that predicts
        as it did, 500 times as slowly, large, and in much memory.
        """
        records = [self._record(accuracy) for accuracy in worse]
        if self.budget.metric not in task_of(self.task).metrics:
            records = [self._record(self.right, 5.0, self.large, 900)]
        return Verdicts(
            self._status(self._record(self.right)), [self._status(one) for one in records]
        )

    def _record(
        self, accuracy: Accuracy, seconds: float = 0.010, size: int = 400_000, memory: int = 100
    ) -> RecipeRecord:
        return RecipeRecord(
            name=self.recipe.name,
            reference=self.recipe.reference,
            parent="",
            artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
            launches=self.launched(seconds, memory),
            accuracy=accuracy,
        )

    def _status(self, candidate: RecipeRecord) -> Status:
        metrics = metrics_of(self.task)
        evidence = Evidence(
            record=candidate,
            reference=self._record(self.right, 0.020, 1_000_000),
            baseline=self._baseline(metrics),
            yardstick=launches(0.003),
        )
        return judge(self.budget, metrics[self.budget.metric], evidence, RISK, NOW).status

    def _baseline(self, metrics: Mapping[str, Metric]) -> Baseline:
        usual = stored(0.010)
        latency = usual.metrics["latency_p50"]
        scores = {name: self.right.values[name] for name in metrics if name in self.right.values}
        values = {
            name: StoredMetric(unit=metrics[name].unit, value=value)
            for name, value in (*scores.items(), ("artifact_size", 400_000.0))
        }
        memory = StoredMetric(
            unit=metrics["peak_memory"].unit,
            value=100e6,
            launches=tuple(100e6 * factor for factor in SPREAD),
        )
        times = {"latency_p50": latency, "frame_latency_p50": latency}  # of images, of frames
        return usual.model_copy(
            update={
                "metrics": {**times, **values, "peak_memory": memory},
                "accuracy": self.right,
            }
        )
