"""Folds of a data set, and what scores over them are worth."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence

SEED = 0


def assign(groups: Sequence[Hashable], count: int, seed: int = SEED) -> list[int]:
    """The fold of each image, 0 to `count` - 1; images of one group share a fold.

    Groups are shuffled, then dealt out from the largest to the smallest, each into the fold that
    has the fewest images (as scikit-learn's GroupKFold does, which the base install lacks). The
    same groups and seed give the same folds.

    Raises:
        ValueError: fewer groups than folds, or fewer than two folds.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    if not 2 <= count <= len(members):
        raise ValueError(f"{len(members)} groups in {count} folds")
    order = list(members)
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    order.sort(key=lambda group: -len(members[group]))  # stable: equal ones stay shuffled
    sizes, folds = [0] * count, [0] * len(groups)
    for group in order:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(members[group])
        for row in members[group]:
            folds[row] = fold
    return folds


def corrected_bounds(
    scores: Sequence[float], tested: float, trained: float, alpha: float, *, least_sd: float = 0.0
) -> tuple[float, float, float]:
    """The mean of the scores over folds, with lower and upper bound, `alpha` on each side.

    Scores of folds are correlated, since their training sets overlap: s^2 / k is far too small. The
    variance of the mean is taken as (1 / k + tested / trained) * s^2, s^2 the sample variance over
    k folds, with Student's t of k - 1 degrees of freedom (Nadeau and Bengio 2003, "Inference for
    the Generalization Error", Machine Learning 52, equation 9; for folds: Bouckaert and Frank 2004,
    "Evaluating the Replicability of Significance Tests"). No unbiased estimate exists (Bengio and
    Grandvalet 2004).

    Args:
        scores: one of each fold.
        tested: images that a fold is tested on.
        trained: images that a fold is trained on.
        alpha: chance of error on each side.
        least_sd: standard deviation below which scores cannot be told.

    Raises:
        ValueError: fewer than two scores, one that is not finite, or no images.
    """
    from scipy import stats

    count = len(scores)
    if count < 2 or not all(math.isfinite(score) for score in scores):
        raise ValueError("two finite scores at least")
    if tested <= 0 or trained <= 0:
        raise ValueError("there are no images")
    mean = math.fsum(scores) / count
    variance = math.fsum((score - mean) ** 2 for score in scores) / (count - 1)
    error = math.sqrt((1 / count + tested / trained) * max(variance, least_sd**2))
    half = float(stats.t.isf(alpha, count - 1)) * error
    return mean, mean - half, mean + half
