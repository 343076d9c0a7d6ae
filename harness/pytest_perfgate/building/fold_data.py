"""A suite's data with one fold held out: its training images in parts, and nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from pytest_perfgate.building.suite_data import DigestProgress, SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.recipe import VALIDATION, FoldSpec, Suite
from pytest_perfgate.registry import resolve
from pytest_perfgate.stats.cross_validation import assign
from pytest_perfgate.tasks.image_files import Digested
from pytest_perfgate.units import count_of


class FoldData(SuiteData):
    """The data of one fold: a step that trains gets the images of the other folds, and what is
    validated with are those of this fold.
    """

    def __init__(
        self,
        suite: Suite,
        whole: SuiteData,
        split: str,
        parts: tuple[Sequence[int], Sequence[int]],
        progress: DigestProgress,
    ) -> None:
        self._whole = whole
        self._rows = {split: parts[0], VALIDATION: parts[1]}
        self._source = split
        self.fold = (split, *parts)
        self._parts: dict[str, Any] = {}
        super().__init__(suite, progress)

    @override
    def split(self, name: str) -> Any:
        """As of the whole suite, but for the split that is in folds and the validation images."""
        if name not in self._rows:
            return self._whole.split(name)
        if name not in self._parts:
            whole, rows = self._whole.split(self._source), self._rows[name]
            part = self.task.part(whole, rows)
            if part is None:
                raise DataError(
                    f"data of the task {self.task.name!r} cannot be taken apart into these folds",
                    where=f"suite.data.{self._source}",
                    valid="whole sequences in each fold, where images are frames",
                    next_step="leave `by` out of the recipe's folds, or leave folds out",
                )
            if isinstance(part, Digested):  # known already: no image is decoded again
                part.__dict__["digests"] = tuple(whole.digests[row] for row in rows)
            self._parts[name] = part
        return self._parts[name]


def folds_of(spec: FoldSpec, data: SuiteData) -> tuple[list[int], int]:
    """The fold of each image of the split that is trained on, and how many groups there are; 0
    groups where each image stands alone.

    Raises:
        DataError: there are too few images or groups, groups do not fit the images, or one image
            is in two folds.
    """
    where = f"suite.data.{spec.split}"
    images = data.split(spec.split)
    total = len(images.images)
    groups = _groups(spec, images, where)
    distinct = len(set(groups)) if groups is not None else total
    if distinct < spec.count:
        what = "group" if groups is not None else "image"
        raise DataError(
            f"{count_of(distinct, what)} cannot make {spec.count} folds",
            where=where,
            valid=f"{spec.count} {what}s or more",
            next_step=f"folds = {distinct}" if distinct > 1 else "leave folds out of the recipe",
        )
    folds = assign(range(total) if groups is None else groups, spec.count)
    _refuse_shared(images.digests, folds, where)
    return folds, 0 if groups is None else distinct


def refuse_learned(spec: FoldSpec, data: SuiteData, split: str) -> None:
    """Check that no image of the folds is one of another split that the recipe's steps learn from:
    the fold that it is tested in holds it out of its own split only.

    Raises:
        DataError: names how many are, and the first.
    """
    if split == spec.split:
        return
    places = {text: row for row, text in enumerate(data.split(spec.split).digests)}
    digests = data.split(split).digests
    shared = [(row, places[text]) for row, text in enumerate(digests) if text in places]
    if shared:
        here, there = shared[0]
        raise DataError(
            f"{len(shared)} of the {split} images are {spec.split} images too (the first: {split} "
            f"image {here} is {spec.split} image {there}), and each is tested on in a fold: the "
            "score would look better than it is",
            where=f"suite.data.{split}",
            next_step=f"take these images out of {spec.split} or of {split}, or leave folds out of "
            "the recipe",
        )


def _groups(spec: FoldSpec, images: Any, where: str) -> list[str] | None:
    """The group of each image: of the function that the recipe names, or of the data itself."""
    given = resolve(spec.by, "folds.by")(images) if spec.by else getattr(images, "groups", None)
    if given is None:
        return None
    groups = [str(group) for group in given]
    if len(groups) != len(images.images):
        raise DataError(
            f"{len(groups)} groups are given for {len(images.images)} images",
            where=spec.by or where,
            valid="one group for each image, in the order of the images",
        )
    return groups


def _refuse_shared(digests: Sequence[str], folds: Sequence[int], where: str) -> None:
    """Check that images with equal pixels share a fold.

    Raises:
        DataError: two do not; names both.
    """
    first: dict[str, int] = {}
    shared = []
    for row, text in enumerate(digests):
        before = first.setdefault(text, row)
        if folds[before] != folds[row]:
            shared.append((before, row))
    if shared:
        one, other = shared[0]
        raise DataError(
            f"{count_of(len(shared), 'image is', 'images are')} in two folds (the first: image "
            f"{one} of fold {folds[one] + 1} is image {other} of fold {folds[other] + 1}): the "
            "score would look better than it is",
            where=where,
            next_step="take one of the two out, or keep them together: folds = { count = 5, by = "
            '"package.module:function" }',
        )
