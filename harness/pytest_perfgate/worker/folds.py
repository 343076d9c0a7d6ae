"""Cross-validation of one recipe, in its worker: a model for each fold, built and tested like the
recipe itself. Each is an artifact and an evaluation of its own in the cache: those that are done
stay when the process is killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pytest_perfgate.building.builder import BuildRequest, Built, build
from pytest_perfgate.building.fold_data import FoldData, folds_of, refuse_learned
from pytest_perfgate.building.suite_data import DigestProgress, SuiteData, splits_used
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.folds import Folds

Evaluate = Callable[[Built, SuiteData, DigestProgress], Accuracy]
"""Scores of a built recipe on the validation images of some data."""


def cross_validated(request: BuildRequest, own: Built, evaluate: Evaluate) -> Folds | None:
    """The scores over the folds of a recipe; None: it has none, or it is the base's, whose folds
    would say nothing about the working tree. `own` is what `request` has built: its training tells
    what a fold will take.

    Raises:
        PerfgateError: the data cannot be taken apart, or a fold cannot be built or tested.
    """
    suite, data, progress = request.suite, request.data, request.progress
    spec = request.recipe.folds
    if spec is None or suite.tree is not None:
        return None
    folds, groups = folds_of(spec, data)
    for split in splits_used(request.recipe):
        refuse_learned(spec, data, split)
    usual = sum(link.seconds for link in own.lineage[1:])
    progress(0, spec.count, f"folds: {spec.count} models, about {usual:,.0f} s each")
    accuracies: list[Accuracy] = []
    sizes: list[tuple[int, int]] = []
    cached, start = 0, time.monotonic()
    for number in range(spec.count):
        kept = [row for row, fold in enumerate(folds) if fold != number]
        held_out = [row for row, fold in enumerate(folds) if fold == number]
        note = partial(_within, progress, f"fold {number + 1} of {spec.count}")
        fold = FoldData(suite, data, spec.split, (kept, held_out), note)
        built = build(replace(request, data=fold, progress=note))
        cached += all(link.cached for link in built.lineage)
        accuracies.append(evaluate(built, fold, note))
        sizes.append((len(held_out), len(kept)))
    names = set.intersection(*(set(accuracy.values) for accuracy in accuracies))
    if not names:
        raise DataError("no score has a value in every fold", where=f"suite.data.{spec.split}")
    return Folds(
        tested=tuple(tested for tested, _ in sizes),
        trained=tuple(trained for _, trained in sizes),
        groups=groups,
        scores={
            name: tuple(accuracy.values[name] for accuracy in accuracies) for name in sorted(names)
        },
        cached=cached,
        seconds=round(time.monotonic() - start, 3),
    )


def _within(progress: DigestProgress, fold: str, done: int, total: int, note: str) -> None:
    progress(done, total, f"{fold}: {note}")
