"""Accuracy on corrupted images: a task's main score under each corruption, and what is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pytest_perfgate.building.artifact_cache import ArtifactStore, Stored
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.keys import corrupted_key
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.corruptions import corrupted
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
from pytest_perfgate.records.recipe import VALIDATION, Corruptions, Recipe, Suite
from pytest_perfgate.records.robustness import ROBUSTNESS, score_under
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.stats.influence import Influence, of_precision, of_ratio
from pytest_perfgate.suite.preloads import preloads
from pytest_perfgate.worker.loading import preload
from pytest_perfgate.worker.scoring import refuse_void
from pytest_perfgate.workloads.frame_order import FrameRun

_FILE = "corrupted.json"
_NOTE = "corrupted images"

Progress = Callable[[int, int, str], None]
Corrupt = Callable[[Any, int], Any]
"""A picture and its place in the data, to the picture that is evaluated."""


@dataclass(frozen=True)
class CleanEvaluation:
    """What is evaluated under corruptions: an artifact, with its accuracy on clean images and the
    key of that evaluation.
    """

    suite: Suite
    recipe: Recipe
    artifact: ArtifactHandle
    accuracy: Accuracy
    key: str


class _Scores(BaseModel):
    """What the store keeps of an evaluation on corrupted images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, float]
    ratios: dict[str, Ratio]
    unmeasured: dict[str, str]


def with_corrupted(
    clean: CleanEvaluation, store: ArtifactStore, watch: Watch, data: SuiteData, progress: Progress
) -> Accuracy:
    """The accuracy with the scores on corrupted images, from the store or from an evaluation; as it
    is where the suite declares no corruptions.

    Raises:
        DataError: some of the images were asked for, and the task takes all or none.
    """
    corruptions = clean.suite.corruptions
    if corruptions is None:
        return clean.accuracy
    main = next(iter(data.task.metrics))
    names = (ROBUSTNESS, *(score_under(main, name) for name in corruptions.names))
    why = _obstacle(clean.accuracy, main)
    if why:
        return _with(clean.accuracy, {}, {}, dict.fromkeys(names, why))
    key = corrupted_key(clean.key, corruptions)
    with store.lock(key):
        entry = store.find(key, watch)
        if entry is None or entry.path is None:
            start = time.perf_counter()
            scores = _evaluated(clean, corruptions, main, data, progress)
            with store.scratch() as folder:
                (folder / _FILE).write_text(scores.model_dump_json(), encoding="utf-8")
                stored = Stored(
                    kind="corrupted evaluation",
                    file=_FILE,
                    effect={},
                    structures=(),
                    seconds=time.perf_counter() - start,
                    files=watch.files(),
                )
                about = f"{clean.suite.name}: {clean.recipe.name}, corrupted images"
                entry = store.add(key, folder, stored, about=about)
        scores = _Scores.model_validate_json((entry.folder / _FILE).read_bytes())
    accuracy = _with(clean.accuracy, scores.values, scores.ratios, scores.unmeasured)
    count = len(data.split(VALIDATION).images)
    images = min(corruptions.images or count, count)
    update = {"corrupted_by": _words(corruptions), "corrupted_images": images}
    return accuracy.model_copy(update=update)


def _words(corruptions: Corruptions) -> str:
    """How images were corrupted, whichever the corruptions."""
    severities = ", ".join(map(str, corruptions.severities))
    images = f"{corruptions.images} of the images" if corruptions.images else "all images"
    return f"severities {severities}, seed {corruptions.seed}, {images}"


def _with(
    accuracy: Accuracy,
    values: Mapping[str, float],
    ratios: Mapping[str, Ratio],
    unmeasured: Mapping[str, str],
) -> Accuracy:
    return accuracy.model_copy(
        update={
            "values": {**accuracy.values, **values},
            "ratios": {**accuracy.ratios, **ratios},
            "unmeasured": {**accuracy.unmeasured, **unmeasured},
        }
    )


def _obstacle(accuracy: Accuracy, main: str) -> str:
    """Why corrupted images say nothing, "" when they do."""
    if accuracy.doubt is not None:
        return f"{main} of clean images is in doubt: {accuracy.doubt.problem}"
    if main in accuracy.unmeasured or main not in accuracy.values:
        return accuracy.unmeasured.get(main, f"{main} was not measured on clean images")
    if accuracy.values[main] <= 0:
        return f"{main} is 0 on clean images, and none of it can be kept"
    return ""


def _evaluated(
    clean: CleanEvaluation, corruptions: Corruptions, main: str, data: SuiteData, progress: Progress
) -> _Scores:
    """Runs all corruptions at all severities, and the images without corruption where these are
    some of all.
    """
    truth, rows = _truth(corruptions, data)
    conditions = len(corruptions.names) * len(corruptions.severities) + (truth is not None)
    total, done = conditions * len(rows), 0
    preload(preloads(clean.suite, clean.recipe))
    session = open_session(clean.suite, clean.recipe, clean.artifact)
    images = data.split(VALIDATION).images

    def accuracy(corrupt: Corrupt, under: str = "") -> Accuracy:
        nonlocal done
        predictions: list[Any] = []
        for row in rows:
            picture = corrupt(np.array(images[row]), row)
            predictions += _predicted(data, session, picture, row, under)
            done += 1
            progress(done, total, _NOTE)
        return data.task.evaluate(data.split(VALIDATION) if truth is None else truth, predictions)

    def under(name: str, severity: int) -> Accuracy:
        return accuracy(
            lambda image, row: corrupted(image, name, severity, corruptions.seed, row),
            f"{name} of severity {severity}",
        )

    try:
        plain = clean.accuracy if truth is None else accuracy(lambda image, _: image)
        before = influence_of(plain, main)
        after = {
            name: _mean(
                [influence_of(under(name, severity), main) for severity in corruptions.severities]
            )
            for name in corruptions.names
        }
    finally:
        session.close()
    return _scores(main, before, after, len(corruptions.severities))


def _truth(corruptions: Corruptions, data: SuiteData) -> tuple[Any | None, list[int]]:
    """The images that are corrupted, by their rows, and their truth; None: all of it.

    Raises:
        DataError: some of them were asked for, and the task takes all or none.
    """
    validation = data.split(VALIDATION)
    count = len(validation.images)
    if not corruptions.images or corruptions.images >= count:
        return None, list(range(count))
    rows = np.linspace(0, count - 1, corruptions.images).round().astype(int).tolist()
    part = data.task.part(validation, rows)
    if part is None:
        raise DataError(
            f"the task {data.task.name!r} evaluates all of its images, or none",
            where="suite.corruptions.images",
            next_step="leave images out",
        )
    return part, rows


def _predicted(
    data: SuiteData, session: InferenceSession, picture: Any, row: int, under: str
) -> list[Any]:
    """One picture at a time, as clean ones are: where a runtime takes scales from its batch, other
    batches would look like a loss of robustness.
    """
    turn = FrameRun(data.pipeline, session).step([picture], begins=1)
    refuse_void(turn.outputs, row, under=under)
    return turn.predictions


def influence_of(accuracy: Accuracy, metric: str) -> Influence:
    """A score of an evaluation, and how far groups of its images move it.

    Raises:
        DataError: the evaluation does not hold what that is made from.
    """
    if metric in accuracy.ratios:
        ratio = accuracy.ratios[metric]
        return of_ratio(ratio.numerator.array(), ratio.denominator.array())
    matches = accuracy.matches
    if matches is None:
        raise DataError(
            f"the task gives {metric} without what its interval is made from",
            next_step="give Accuracy.matches, or Accuracy.ratios of its first metric",
        )
    bits = (0,) if metric.endswith("50") else tuple(range(len(matches.thresholds)))
    return of_precision(matches.table(), bits)


def _mean(parts: Sequence[Influence]) -> Influence:
    """Of the mean of scores of the same images."""
    return Influence(
        float(np.mean([part.value for part in parts])),
        np.mean([part.moves for part in parts], axis=0),
        parts[0].counts,
    )


def _scores(
    main: str, before: Influence, after: Mapping[str, Influence], severities: int
) -> _Scores:
    """Each corruption's score, and the share that is kept on average, a quotient of two scores of
    the same images: it moves by (a - quotient * b) / before, where these move by a and b.
    """
    if before.value <= 0:
        why = f"{main} is 0 on the images without corruption, and none of it can be kept"
        names = (ROBUSTNESS, *(score_under(main, name) for name in after))
        return _Scores(values={}, ratios={}, unmeasured=dict.fromkeys(names, why))
    mean = _mean(list(after.values()))
    kept = mean.value / before.value
    robustness = Influence(kept, (mean.moves - kept * before.moves) / before.value, before.counts)
    parts = {score_under(main, name): (one, severities) for name, one in after.items()}
    parts[ROBUSTNESS] = (robustness, severities * len(after))
    return _Scores(
        values={name: one.value for name, (one, _) in parts.items()},
        ratios={name: _ratio(one, times) for name, (one, times) in parts.items()},
        unmeasured={},
    )


def _ratio(influence: Influence, times: int) -> Ratio:
    """Sums over groups whose ratio is the score; below stand pictures, each of `times` kinds."""
    pictures = influence.counts * times
    shares = (influence.value + influence.moves) * pictures
    return Ratio(numerator=Packed.of(shares), denominator=Packed.of(pictures))
