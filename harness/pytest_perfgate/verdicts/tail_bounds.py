"""Few slow images among many: what `latency_tail` compares with the base, and what it says."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_perfgate.metric import PERFORMANCE, TAIL
from pytest_perfgate.records.launch_values import round_ratios
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import show_percent
from pytest_perfgate.verdicts.evidence import FAR_ROUNDS, Compared, Risk
from pytest_perfgate.verdicts.limit_bounds import log_ratios
from pytest_perfgate.verdicts.log_values import spread

ALLOWED = 1 / 30
"""The share of the images that may take longer by more than the limit. Smaller than one in twenty,
so that such a change is broken in sessions in which chance shows fewer; not much smaller, so that
four launches of 32 rounds can show that a limit is kept."""

NOTED = 0.5
"""By how much images must take longer to be noted where no budget says."""

_MIXED = "some images got faster, others slower"

_UNCHANGED = 0.01  # a change of the median up to this is called none


def against_base(
    record: RecipeRecord, base: RecipeRecord, against: str, limit: float, risk: Risk
) -> Compared | None:
    """The tail's ratio to the base, with bounds that say whether `limit`, a ratio above 1, is
    broken or kept; None: no round in common.

    Broken: more images are proven to take longer by more than the limit than noise explains, and
    they are more than `ALLOWED` of those that were measured. Kept: they are proven to be fewer.
    """
    launches = rounds_of(record, base)
    if not launches:
        return None
    from pytest_perfgate.stats import tails

    far = tails.far_rounds(launches, math.log(limit))
    broken = tails.proven(far, risk.fail) and far.share > ALLOWED
    mirrored = tails.far_rounds(launches, math.log(limit), to_keep=True)
    kept = tails.share_bound(mirrored, risk.keep) < ALLOWED
    mixed = tails.proven(mirrored.exchanged, risk.keep) and mirrored.share_up > ALLOWED
    changes = _changes(record, base, launches)
    return Compared(
        estimate=1.0 + changes.tail,
        # Nothing is said of limits other than this one: the bounds are on one side of it.
        fail_low=math.nextafter(limit, math.inf) if broken else 0.0,
        fail_high=math.inf,
        keep_low=0.0,
        keep_high=limit if kept else math.inf,
        sample=len(launches),
        scale="ratio",
        against=against,
        note=f"{changes.text}; {_MIXED}" if mixed else changes.text,
        spread=spread([tails.tail([row]) for row in launches]),
        method=FAR_ROUNDS,
    )


def rounds_of(record: RecipeRecord, base: RecipeRecord) -> list[list[float]]:
    """Log ratios of the latency, round by round, of every launch that has any."""
    theirs = {launch.index: launch for launch in base.launches}
    rows = [
        round_ratios(launch, theirs[launch.index], TAIL)
        for launch in sorted(record.launches, key=lambda one: one.index)
        if launch.index in theirs
    ]
    return [row for row in rows if row]


def slow_tails(
    pairs: Sequence[tuple[RecipeRecord, RecipeRecord]], name: str, alpha: float
) -> tuple[str, ...]:
    """A note on every recipe of which few images are proven to take longer than at the base, budget
    or not; or of which images are proven to be faster, and more than `ALLOWED` of the others took
    longer. `pairs` are recipes of one suite and themselves at the base, `name` is the base's; the
    chance of any note on unchanged code is at most `alpha`, for each suite.
    """
    from pytest_perfgate.stats import tails

    notes = []
    for record, base in pairs:
        launches = rounds_of(record, base)
        if not launches:
            continue
        limit, level = math.log1p(NOTED), alpha / (2 * len(pairs))
        far = tails.far_rounds(launches, limit)
        faster = tails.far_rounds([[-ratio for ratio in row] for row in launches], limit)
        text = f"{record.name} beside {name}: {_changes(record, base, launches).text}"
        if far.share > 0 and tails.proven(far, level):
            notes.append(
                f"{text}; {_share(far.share)} of the images take longer by more than {NOTED:.0%}"
            )
        elif far.share_up > ALLOWED and tails.proven(faster, level):
            notes.append(
                f"{text}; {_MIXED}: {_share(far.share_up)} of the images took longer by more than "
                f"{NOTED:.0%}"
            )
    return tuple(notes)


def _share(share: float) -> str:
    return show_percent(share)[1:]


@dataclass(frozen=True)
class Changes:
    """How the latency of a recipe changed: relative, 0.05 for 5 % longer.

    Attributes:
        tail: of the slowest twentieth of the images.
        median: of the median over launches.
    """

    tail: float
    median: float

    @property
    def text(self) -> str:
        """In words: what the tail says beside the median."""
        median = show_percent(self.median)
        if abs(self.median) <= _UNCHANGED:
            median = f"unchanged ({median})"
        factor = 1.0 + self.tail
        return (
            f"the slowest twentieth of the images takes {factor:.2g} times as long; median {median}"
        )


def changes_of(record: RecipeRecord, base: RecipeRecord) -> Changes | None:
    """The changes of tail and median to the base; None: no round in common."""
    launches = rounds_of(record, base)
    return _changes(record, base, launches) if launches else None


def _changes(
    record: RecipeRecord, base: RecipeRecord, launches: Sequence[Sequence[float]]
) -> Changes:
    from pytest_perfgate.stats.tails import tail

    ratios = log_ratios(PERFORMANCE["latency_p50"], record, base)
    return Changes(math.expm1(tail(launches)), math.expm1(statistics.median(ratios)))
