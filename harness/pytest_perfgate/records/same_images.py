"""Whether two scores are of the same images and annotations."""

from __future__ import annotations

from pytest_perfgate.metric import Metric, Over
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.robustness import unlike_corruptions
from pytest_perfgate.units import count_of

CHANGED_MEANWHILE = "changed during the session"
"""In the reason of a limit that compares nothing for it."""


def changed_images(metric: Metric, record: RecipeRecord, reference: RecipeRecord) -> str:
    """Why a score is not compared with the reference's of the same session: it is of other images;
    "" when it is of the same.
    """
    if record.accuracy is None or reference.accuracy is None:
        return ""
    for name in _compared_sets(metric, record.accuracy):
        ours, theirs = record.accuracy.on(name), reference.accuracy.on(name)
        if ours and theirs and ours.data_digest != theirs.data_digest:
            what = f"data of {name!r}" if name else "validation data"
            return (
                f"the {what} {CHANGED_MEANWHILE}: {record.name!r} was evaluated on other images or "
                f"annotations than the reference {reference.name!r}"
            )
    return ""


def other_images(metric: Metric, ours: Accuracy, theirs: Accuracy, whose: str) -> str:
    """Why a score is not compared with that of the `whose` ("baseline", "base"): it is of other
    images; "" when it is of the same.
    """
    for name in _compared_sets(metric, ours):
        here, there = ours.on(name), theirs.on(name)
        if here and there is None:
            return f"the {whose} has no set {name!r}"
        if here and there and there.data_digest != here.data_digest:
            what = f"data of the set {name!r}" if name else "validation data"
            counts = [count_of(one.images, one.unit) for one in (there, here)]
            alike = ", with other content" if counts[0] == counts[1] else ""
            return f"the {whose} has other {what} ({counts[0]} there, {counts[1]} here{alike})"
        if here and there and (problem := _other_point(metric, here, there, whose)):
            return problem
    return unlike_corruptions(metric.name, ours, theirs)


def _other_point(metric: Metric, ours: Accuracy, theirs: Accuracy, whose: str) -> str:
    here, there = (one.points.get(metric.score_name, "") for one in (ours, theirs))
    if here == there or not (here and there):  # files of before do not say
        return ""
    return f"the {whose} was measured at another operating_point ({there} there, {here} here)"


def _compared_sets(metric: Metric, accuracy: Accuracy) -> list[str]:
    """The sets whose scores a metric compares, "" for the validation images."""
    if metric.over is Over.WORST:
        return ["", *accuracy.sets]
    if metric.over is Over.SLICES and metric.scope is not None:
        return [metric.scope.sliced]
    return [metric.of_set]
