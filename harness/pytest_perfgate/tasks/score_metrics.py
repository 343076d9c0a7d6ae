"""Metrics that tasks of objects have in common, in the words of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pytest_perfgate.metric import Better, Metric
from pytest_perfgate.tasks.calibration import confidence_at_point
from pytest_perfgate.units import count_of

_SIZES = {
    "small": "of at most 32 x 32",
    "medium": "from 32 x 32 to 96 x 96",
    "large": "of at least 96 x 96",
}
"""Areas of objects in pixels, as COCO bounds them."""


_NAMED = 8


def absent_note(main: str, names: Iterable[str], scored: Collection[str]) -> tuple[str, ...]:
    """Says which classes of the data `main`, a mean over classes, leaves out: those without an
    object to find. `scored` are the others.
    """
    absent = [str(name) for name in names if str(name) not in scored]
    if not absent:
        return ()
    shown = ", ".join(absent[:_NAMED]) + (", ..." if len(absent) > _NAMED else "")
    counted = count_of(len(scored), "class", "classes")
    return (f"{main} is the mean over {counted}; no image has an object to find of: {shown}",)


def by_size(main: str, *sizes: str) -> Iterator[Metric]:
    """`main`, a mean average precision, of objects of each size."""
    for size in sizes:
        yield Metric.score(
            f"{main}_{size}",
            f"{main} of objects {_SIZES[size]} pixels, by COCO's areas. Not measured without such "
            "objects. It has no interval: two recipes compare as equal only when their predictions "
            "are identical.",
            optional=True,
        )


def at_operating_point(main: str, noun: str) -> Iterator[Metric]:
    """Precision, recall, F1 and confidence of `noun`s, which match objects as they do in `main`."""
    for name, words in (
        ("precision", f"Share of {noun}s that match an object."),
        ("recall", f"Share of objects that a {noun} matches."),
        ("f1", "Harmonic mean of precision and recall."),
    ):
        yield Metric.score(
            name,
            f"{words} Detections of at least the score of `operating_point` count; they match "
            f"as in {main}, at its IoU, and all categories count together. Not measured without "
            "`operating_point` in `[suite.output]`.",
            optional=True,
            by_image=True,
        )
    yield from confidence_at_point(
        noun,
        f"A {noun} that matches an object as in {main}, at the IoU of `operating_point`, is right. "
        f"Not measured without `operating_point` in `[suite.output]`, nor without {noun}s.",
    )


def score_shift(main: str, noun: str) -> Metric:
    """How far scores of matched `noun`s moved, which `main` does not show."""
    return Metric.score(
        "score_shift",
        "Mean absolute difference between the scores of recipe and reference, over matched pairs "
        f"of {noun}s in which at least one score is 0.3 or more; such a detection without a match "
        "counts with its whole score. It changes when all scores collapse in the same order, "
        f"{main} does not.",
        Better.LOWER,
        against_reference=True,
    )
