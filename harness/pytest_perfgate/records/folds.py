"""Scores of models of one recipe, each trained without a part of the data and tested on it."""

from __future__ import annotations

from pydantic import Field

from pytest_perfgate.frozen import Frozen


class Folds(Frozen):
    """Cross-validation of a recipe.

    Attributes:
        tested, trained: images that each fold was tested on and trained on, in the folds' order.
        groups: groups that share a fold; 0: each image stands alone.
        scores: a score's name to its value of each fold.
        cached: folds whose trained model was in the cache.
        seconds: that building and testing the others took.
    """

    tested: tuple[int, ...] = Field(min_length=2)
    trained: tuple[int, ...] = Field(min_length=2)
    groups: int = 0
    scores: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    cached: int = 0
    seconds: float = 0.0

    def bounds(self, score: str, alpha: float) -> tuple[float, float, float] | None:
        """The mean of a score over folds with its bounds, `alpha` on each side, see
        `stats.cross_validation.corrected_bounds`; None: some fold has no value.
        """
        from pytest_perfgate.stats.cross_validation import corrected_bounds

        values = self.scores.get(score, ())
        if len(values) != len(self.tested):
            return None
        # One image in a fold decided otherwise is the least difference that folds can show.
        least = 0.5 / min(self.tested)
        tested, trained = (sum(sizes) / len(sizes) for sizes in (self.tested, self.trained))
        return corrected_bounds(values, tested, trained, alpha, least_sd=least)
