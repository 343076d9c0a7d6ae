"""Images of two splits that are nearly the same."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.units import count_of

LISTED = 50
"""Pairs that a session's file lists of one comparison."""

_Share = Annotated[float, Field(ge=0, le=1)]


class NearPair(Frozen):
    """Two images that are near-duplicates, each by its file or by its number, and their likeness:
    1 for copies.
    """

    image: str
    other: str
    likeness: _Share


class NearDuplicates(Frozen):
    """The near-duplicates between the images of a split and those that it is compared with.

    Attributes:
        split: the split with the `other` images, such as "train".
        against: the split whose images are counted, "validation" or that of a set.
        compared, others: images of the two.
        images: images of `against` that have a near-duplicate.
        limit: the likeness from which on a pair is one.
        pairs: the most alike first, at most `LISTED`.
    """

    split: str
    against: str
    compared: int
    others: int
    images: int
    limit: _Share
    pairs: tuple[NearPair, ...] = ()

    def __str__(self) -> str:
        """The count and the first pair, a sentence."""
        if not self.images:
            return f"no {self.against} image has a near-duplicate among the {self.split} images"
        first = self.pairs[0]
        has = "has a near-duplicate" if self.images == 1 else "have near-duplicates"
        return (
            f"{self.images:,} of {count_of(self.compared, f'{self.against} image')} {has} among "
            f"the {self.split} images (the most alike: {first.image} and {first.other}, likeness "
            f"{first.likeness:.3f}): accuracy may look better than it is"
        )
