"""Limits that are far looser than what has held: which tighter ones could be proposed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_perfgate.history.nights import Held
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.units import Unit, show_percent
from pytest_perfgate.verdicts.wording import kept_limit

_ROOM = 0.2
"""Share of the way from what every night kept back to the limit that is left as room."""

_FAR = 1.2  # a limit that is this factor from what held is far looser
_FAR_SCORE = 0.5  # of a difference of scores: what held is less than this share of the limit


@dataclass(frozen=True)
class Tightening:
    """A limit, and the tighter one that each of so many nights would have kept with room."""

    held: Held
    proposed: str
    moved: str


def propose(held: Iterable[Held]) -> tuple[Tightening, ...]:
    """The limits worth tightening, the loosest first."""
    proposals = []
    for candidate in held:
        bound, slack = _bound(candidate)
        if bound is None:
            continue
        words = _words(candidate, bound)
        if words:
            moved = f"{bound - candidate.limit:+.4f}"
            if candidate.scale != "difference":
                moved = show_percent(bound / candidate.limit - 1)
            proposals.append((slack, Tightening(candidate, words, moved)))
    proposals.sort(key=lambda pair: -pair[0])
    return tuple(tightening for _, tightening in proposals)


def _bound(held: Held) -> tuple[float | None, float]:
    """The tighter bound and how loose the limit is; None: it is near enough."""
    if not (math.isfinite(held.loosest) and math.isfinite(held.limit)):
        return None, 0.0
    if held.scale == "difference":
        if held.limit == 0 or not 0 <= held.loosest / held.limit < _FAR_SCORE:
            return None, 0.0
        return held.loosest + _ROOM * (held.limit - held.loosest), 1 / _FAR_SCORE
    if held.limit <= 0 or held.loosest <= 0:
        return None, 0.0
    slack = math.log(held.limit / held.loosest)
    if abs(slack) < math.log(_FAR):
        return None, 0.0
    return held.loosest * math.exp(_ROOM * slack), abs(slack)


def _words(held: Held, bound: float) -> str:
    """The proposed limit as a recipe would hold it, "" where it has no such words."""
    if held.scale == "difference":
        return f"{held.kind} {abs(bound):.4f}"
    limit = LimitResult(
        kind=held.kind,
        text=held.text,
        status=Status.PASS,
        limit=held.limit,
        scale=held.scale,
        reason="",
        kept=bound,
    )
    try:
        return kept_limit(limit, Unit(held.unit))
    except ValueError:
        return ""
