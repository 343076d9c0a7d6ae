"""Whether two scores are of the same images and annotations."""

from __future__ import annotations

from pytest_perfgate.baselines.store import Baseline
from pytest_perfgate.metric import Metric, Over
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.robustness import unlike_corruptions


def changed_images(metric: Metric, record: RecipeRecord, reference: RecipeRecord) -> str:
    """Why a score is not compared with the reference's of the same session: it is of other images;
    "" when it is of the same.
    """
    if record.accuracy is None or reference.accuracy is None:
        return ""
    for name in _compared_sets(metric, record.accuracy):
        ours, theirs = record.accuracy.on(name), reference.accuracy.on(name)
        if ours and theirs and ours.data_digest != theirs.data_digest:
            what = f"images or annotations of the set {name!r}" if name else "validation data"
            return (
                f"the {what} changed during the session: {record.name!r} was evaluated on other "
                f"data than the reference {reference.name!r}; run the session again"
            )
    return ""


def other_images(metric: Metric, record: RecipeRecord, baseline: Baseline) -> str:
    """Why a stored score is not compared: it is of other images; "" when it is of the same."""
    if record.accuracy is None or baseline.accuracy is None:
        return ""
    for name in _compared_sets(metric, record.accuracy):
        then, now = baseline.accuracy.on(name), record.accuracy.on(name)
        if then is None and name:
            return f"the baseline has no set {name!r}: --perf-update --perf-reason renews it"
        if then and now and then.data_digest != now.data_digest:
            what = f"data of the set {name!r}" if name else "validation data"
            return (
                f"the baseline is of other {what} ({then.images} images then, {now.images} now, or "
                "other annotations): --perf-update --perf-reason renews it"
            )
    problem = unlike_corruptions(metric.name, record.accuracy, baseline.accuracy)
    return f"{problem}: --perf-update --perf-reason renews the baseline" if problem else ""


def _compared_sets(metric: Metric, accuracy: Accuracy) -> list[str]:
    """The sets whose scores a metric compares, "" for the validation images."""
    return ["", *accuracy.sets] if metric.over is Over.WORST else [metric.of_set]
