"""What the comparison of sessions with and without a fleet calls a difference."""

from __future__ import annotations

from pytest_perfgate.records.verdict import Status

from benchmarks.fleet import differences
from tests.report.sessions import healthy


def test_verdicts_artifacts_and_scores_are_compared() -> None:
    """Each that differs is a line with both sides, and so is one that is missing."""
    one = healthy()
    assert differences(one, one) == []
    (suite,) = one.suites
    recipe, verdict = suite.recipes[0], suite.verdicts[0]
    assert recipe.artifact is not None
    assert recipe.accuracy is not None
    score, value = next(iter(recipe.accuracy.values.items()))
    changed = recipe.model_copy(
        update={
            "artifact": recipe.artifact.model_copy(update={"digest": "other"}),
            "accuracy": recipe.accuracy.model_copy(
                update={"values": {**recipe.accuracy.values, score: value + 1e-9}}
            ),
        }
    )
    error = verdict.model_copy(update={"status": Status.ERROR})
    other = suite.model_copy(
        update={
            "recipes": (changed, *suite.recipes[1:]),
            "verdicts": (error, *suite.verdicts[1:-1]),
        }
    )
    lines = differences(one, one.model_copy(update={"suites": (other,)}))
    last = suite.verdicts[-1]
    assert sorted(lines) == sorted(
        [
            f"{suite.name} {recipe.name} artifact: {recipe.artifact.digest} and other",
            f"{suite.name} {recipe.name} score {score}: {value!r} and {value + 1e-9!r}",
            f"{suite.name} {verdict.recipe} {verdict.metric}: {verdict.status.value} and ERROR",
            f"{suite.name} {last.recipe} {last.metric}: {last.status.value} and missing",
        ]
    )
