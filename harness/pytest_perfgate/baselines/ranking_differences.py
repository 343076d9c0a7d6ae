"""A ranking as what it differs by from another of the same images and objects.

Recipes of one model find the same objects in nearly the same order: a recipe's file beside its
baseline is a part of its reference's. Detections are paired by image and category, hits with hits
and misses with misses. Of a pair of hits its place among those of its category is stored, of a
pair of misses only before which hit it stands: precision is read at hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_perfgate.baselines.columns import planes, signed, unsigned, whole
from pytest_perfgate.records.ranking import Ranking, numbers_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]

_IGNORED = 2**16
"""The lowest bit of `ignored` beside the 16 of `hits`."""


@dataclass(frozen=True)
class _Parts:
    """Columns of the hits (H,), and of the misses (M,), in their order. `marks`: the 16 bits of
    `hits`, and above them those of `ignored`; `run`: how many hits of its category stand before a
    miss; `first`: how many hits stand before those of each category.
    """

    image: Whole
    category: Whole
    marks: Whole
    miss_image: Whole
    miss_category: Whole
    ignored: Whole
    run: Whole
    first: Whole


def _parts(ranking: Ranking) -> _Parts:
    import numpy as np

    is_hit = ranking.hits != 0
    category = ranking.category[is_hit]
    counts = np.bincount(category, minlength=ranking.truth.shape[1])
    first = np.cumsum(counts) - counts
    miss_category = ranking.category[~is_hit]
    return _Parts(
        image=ranking.image[is_hit],
        category=category,
        marks=ranking.hits[is_hit] + ranking.ignored[is_hit] * _IGNORED,
        miss_image=ranking.image[~is_hit],
        miss_category=miss_category,
        ignored=ranking.ignored[~is_hit],
        run=ranking.run[~is_hit] - first[miss_category],
        first=first,
    )


def differences(own: Ranking, basis: Ranking) -> dict[str, npt.NDArray[np.uint8]]:
    """Arrays by name, of which `ranking_from` makes the ranking again."""
    import numpy as np

    mine, theirs = _parts(own), _parts(basis)
    images = len(own.truth)
    ours, others = _paired(
        mine.category * images + mine.image, theirs.category * images + theirs.image
    )
    by_place = np.argsort(ours)
    ours, others = ours[by_place], others[by_place]
    new = _without(len(mine.image), ours)
    arrays = {
        "hits gone": _gaps(_without(len(theirs.image), others)),
        "hit places": unsigned(_ranks(others) - np.arange(len(others))),
        "hit changes": mine.marks[ours] ^ theirs.marks[others],
        "new hits": _gaps(new),
        "new hit categories": mine.category[new],
        "new hit images": _numbers(own.truth, mine.category[new], mine.image[new]),
        "new hit marks": mine.marks[new],
    }
    cells = [
        (one.miss_category * images + one.miss_image) * _IGNORED + one.ignored
        for one in (mine, theirs)
    ]
    ours, others = _paired(*cells)
    new = _without(len(mine.miss_image), ours)
    number = _numbers(own.truth, mine.miss_category[new], mine.miss_image[new])
    run = mine.run[new] + mine.first[mine.miss_category[new]]
    order = np.lexsort((mine.ignored[new], number, run))
    new, number, run = new[order], number[order], run[order]
    arrays |= {
        "misses gone": _gaps(_without(len(theirs.miss_image), others)),
        "miss moves": unsigned(mine.run[ours] - theirs.run[others]),
        "new miss runs": np.diff(run, prepend=0),
        "new miss images": number,
        "new miss ignored": mine.ignored[new],
    }
    return {name: planes(values) for name, values in arrays.items()}


def ranking_from(arrays: Mapping[str, Any], basis: Ranking) -> Ranking:
    """The ranking that differs from `basis` by what `differences` has stored.

    Raises:
        ValueError: an array is not there, or does not fit the others or the basis.
    """
    import numpy as np

    theirs, truth = _parts(basis), basis.truth
    categories = truth.shape[1]
    kept = _without(len(theirs.image), _places(arrays, "hits gone", len(theirs.image)))
    place = signed(whole(arrays, "hit places")) + np.arange(len(kept))
    changes = whole(arrays, "hit changes")
    _check(len(place) == len(changes) == len(kept), "its hits are not those of its basis")
    _check(np.array_equal(np.sort(place), np.arange(len(kept))), "hits have no order")
    new_marks = whole(arrays, "new hit marks")
    total = len(kept) + len(new_marks)
    new = _places(arrays, "new hits", total)
    old = _without(total, new)
    category, image, marks = np.zeros((3, total), np.int64)
    new_category = whole(arrays, "new hit categories")
    _check(len(new) == len(new_marks) == len(new_category), "its new hits differ in length")
    _check(new_category.max(initial=0) < categories, "its hits are not of its categories")
    from_basis = kept[place]
    category[old], category[new] = theirs.category[from_basis], new_category
    _check(bool((np.diff(category) >= 0).all()), "its hits are not in the order of categories")
    image[old] = theirs.image[from_basis]
    image[new] = _images(truth, new_category, whole(arrays, "new hit images"))
    marks[old], marks[new] = theirs.marks[from_basis] ^ changes, new_marks
    hits, hit_ignored = marks % _IGNORED, marks // _IGNORED
    _check(bool((hits > 0).all()), "a hit is none")
    _check(hit_ignored.max(initial=0) < _IGNORED, "ignored has more than 16 bits")

    counts = np.bincount(category, minlength=categories)
    first = np.cumsum(counts) - counts
    gone = _places(arrays, "misses gone", len(theirs.miss_image))
    kept = _without(len(theirs.miss_image), gone)
    moves = signed(whole(arrays, "miss moves"))
    _check(len(moves) == len(kept), "its misses are not those of its basis")
    run, miss_category = theirs.run[kept] + moves, theirs.miss_category[kept]
    _check(bool(((run >= 0) & (run < counts[miss_category])).all()), "misses stand behind no hit")
    new_run = np.cumsum(whole(arrays, "new miss runs"))
    _check(bool(((new_run >= 0) & (new_run < total)).all()), "misses stand behind no hit")
    new_category, ignored = category[new_run], whole(arrays, "new miss ignored")
    new_image = _images(truth, new_category, whole(arrays, "new miss images"))
    _check(len(ignored) == len(new_run) == len(new_image), "its new misses differ in length")
    _check(ignored.max(initial=0) < _IGNORED, "ignored has more than 16 bits")

    columns = (
        np.concatenate([image, theirs.miss_image[kept], new_image]),
        np.concatenate([category, miss_category, new_category]),
        np.concatenate([hits, np.zeros(len(kept) + len(new_run), np.int64)]),
        np.concatenate([hit_ignored, theirs.ignored[kept], ignored]),
        np.concatenate([np.arange(total), run + first[miss_category], new_run]),
    )
    return Ranking(*columns, truth).sorted()


def _paired(one: Whole, other: Whole) -> tuple[Whole, Whole]:
    """Places of equal keys, the first with the first, the second with the second; by the places in
    `other`.
    """
    import numpy as np

    _, dense = np.unique(np.concatenate([one, other]), return_inverse=True)
    limit = max(len(one), len(other)) + 1
    ours, others = (
        part * limit + _occurrences(part) for part in (dense[: len(one)], dense[len(one) :])
    )
    _, ours, others = np.intersect1d(ours, others, assume_unique=True, return_indices=True)
    order = np.argsort(others)
    return ours[order], others[order]


def _occurrences(keys: Whole) -> Whole:
    """How many equal keys stand before each, (N,)."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    sizes = np.diff(np.append(begins, len(keys)))
    counts = np.empty(len(keys), np.int64)
    counts[order] = np.arange(len(keys)) - np.repeat(begins, sizes)
    return counts


def _ranks(values: Whole) -> Whole:
    """How many are smaller than each of distinct values."""
    import numpy as np

    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values)] = np.arange(len(values))
    return ranks


def _without(count: int, places: Whole) -> Whole:
    import numpy as np

    kept = np.ones(count, bool)
    kept[places] = False
    return np.flatnonzero(kept)


def _gaps(places: Whole) -> Whole:
    """Ascending places as how many lie between one and the next."""
    import numpy as np

    return np.diff(places, prepend=-1) - 1


def _places(arrays: Mapping[str, Any], name: str, count: int) -> Whole:
    import numpy as np

    places = np.cumsum(whole(arrays, name) + 1) - 1
    within = bool(((places >= 0) & (places < count)).all())
    _check(within, f"the array {name!r} goes beyond {count}")
    return places


def _numbers(truth: npt.NDArray[Any], category: Whole, image: Whole) -> Whole:
    """Images as `numbers_of` counts those of each category."""
    import numpy as np

    numbers = np.empty_like(image)
    for index in np.unique(category).tolist():
        rows = category == index
        numbers[rows] = numbers_of(truth[:, index])[image[rows]]
    return numbers


def _images(truth: npt.NDArray[Any], category: Whole, numbers: Whole) -> Whole:
    """The images of `_numbers`."""
    import numpy as np

    _check(len(numbers) == len(category), "its detections differ in length")
    _check(numbers.max(initial=0) < len(truth), "its detections are not of its images")
    images = np.empty_like(numbers)
    for index in np.unique(category).tolist():
        rows = category == index
        images[rows] = np.argsort(numbers_of(truth[:, index]))[numbers[rows]]
    return images


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
