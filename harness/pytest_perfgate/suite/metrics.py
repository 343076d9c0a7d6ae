"""Tasks by name, and the metrics that a suite, a workload or a session has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_perfgate import registry
from pytest_perfgate.metric import OF_EVERY_WORKLOAD, PERFORMANCE, Metric, Over, Rule, Scope
from pytest_perfgate.records.robustness import is_corrupted
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.suite.corruptions import corruption_metrics
from pytest_perfgate.tasks import Task
from pytest_perfgate.workloads import Workload


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        RecipeError: there is none.
    """
    task: Task = registry.find(registry.TASKS, name)
    return task


def metrics_of(task: str, scopes: Sequence[Scope] = ()) -> Mapping[str, Metric]:
    """Every metric that a suite of this task with these scopes may have budgets on: the task's own
    first, those at scopes last.
    """
    return _with_performance(_scores_of(task_of(task)), scopes)


def own_metrics(task: str) -> dict[str, Metric]:
    """The metrics of a task of the project's own, for the record; none for every other task."""
    return _scores_of(task_of(task)) if registry.is_own(task) else {}


def _scores_of(task: Task) -> dict[str, Metric]:
    """A task's metrics of accuracy; those of corrupted images and those over folds last."""
    return {**task.metrics, **corruption_metrics(task), **_over_folds(task.metrics)}


def _with_performance(
    scores: Mapping[str, Metric], scopes: Sequence[Scope] = ()
) -> Mapping[str, Metric]:
    metrics = {**scores, **PERFORMANCE}
    for name in registry.names(registry.WORKLOADS):
        metrics |= registry.find(registry.WORKLOADS, name).metrics
    for scope in scopes:
        for metric in scores.values():
            if metric.rule is not Rule.IMAGES or is_corrupted(metric.name):
                continue
            if metric.sliceable or scope.over is not Over.SLICES:
                there = metric.at(scope)
                metrics[there.name] = there
    return metrics


def _over_folds(scores: Mapping[str, Metric]) -> dict[str, Metric]:
    """The scores that a recipe with folds has over them, by name."""
    metrics = [
        metric.over_folds
        for metric in scores.values()
        if metric.rule is Rule.IMAGES and not metric.against_reference
    ]
    return {metric.name: metric for metric in metrics}


def class_score_of(task: str) -> str:
    """The name of the score of each class that a task has; "score" for a task that is not here."""
    known = task in registry.names(registry.TASKS)
    return task_of(task).class_score if known else Task.class_score


def metrics_of_workload(workload: Workload, task: Task) -> frozenset[str]:
    """Names of the metrics that are measured of a recipe with this workload."""
    own = workload.metrics.keys() | _scores_of(task).keys()
    return OF_EVERY_WORKLOAD | workload.measures | own


def metrics_of_session(session: SessionRecord) -> Mapping[str, Metric]:
    """Every metric of the tasks of a session's suites."""
    metrics: dict[str, Metric] = {}
    for suite in session.suites:
        metrics |= metrics_of_record(suite)
    return metrics or PERFORMANCE


def metrics_of_record(suite: SuiteRecord) -> Mapping[str, Metric]:
    """Every metric of the task of a suite that was measured; none where it could not be read.

    A record imports no code: the metrics of a task of the project's own are in it.
    """
    if registry.is_own(suite.task):
        return _with_performance(suite.own_metrics, suite.scopes)
    return metrics_of(suite.task, suite.scopes) if suite.task else {}
