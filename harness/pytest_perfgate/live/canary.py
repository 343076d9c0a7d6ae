"""The verdict on a canary: whether a new version may take the place of the old one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_perfgate.errors import LogError, PerfgateError
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.live.canary_limits import SCORE_DROP, LatencyLimit, Limits
from pytest_perfgate.live.logs import Logs
from pytest_perfgate.stats.any_time import (
    mean_bounds_of_shares,
    probability_bounds,
    quantile_bounds,
)
from pytest_perfgate.stats.sequential import Bounds

VERSION = 1
"""Of the JSON: one more where a field changes its meaning."""

_TOGETHER = 0.5
"""Share of the new version's time that the old one's requests span at least."""

Status = Literal["kept", "broken", "open"]
Decision = Literal["promote", "hold", "roll back"]


class Check(Frozen):
    """One limit on the new version.

    Attributes:
        limit: the highest value that is allowed, in `unit`.
        value, low, high: of the new version, or of the two compared: the estimate and bounds that
            are valid at any time; None: there is none.
        status: "kept" or "broken" where it is proven, else "open".
        old, new: values that it is made of.
        problem: why there is no value; "" where there is one.
    """

    name: str
    unit: Literal["ratio", "seconds", "share of requests", "score"]
    limit: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    status: Status = "open"
    old: int = 0
    new: int = 0
    problem: str = ""


class Side(Frozen):
    """The log of one version."""

    suite: str
    recipe: str
    artifacts: tuple[str, ...]
    rows: int
    requests: int
    errors: int
    first: str
    last: str


class Canary(Frozen):
    """The verdict on a new version.

    Attributes:
        verdict: "roll back" where a limit is proven to be broken, "promote" where all are proven to
            be kept, else "hold".
        reason: one sentence.
        alpha: chance that any bound is ever wrong.
        notes: what a reader has to know of the logs, a sentence each.
    """

    version: int = VERSION
    verdict: Decision
    reason: str
    alpha: float
    old: Side | None = None
    new: Side | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


def judge(old: Logs, new: Logs, limits: Limits, alpha: float) -> Canary:
    """The verdict. `alpha` is shared over all limits alike. Of the old version the requests in the
    time of the new one count: by night both are faster.

    Raises:
        LogError: the logs are of two suites, have a file in common, or one is of several
            artifacts.
        PerfgateError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise PerfgateError(f"alpha is {alpha!r}", valid="above 0 and below 1")
    if old.suite != new.suite:
        raise LogError(
            f"the log is of {new.name}, and that of the old version of {old.name}",
            where=new.where,
            next_step="name the logs of two versions of one suite",
        )
    shared = sorted(str(path) for file, path in new.files.items() if file in old.files)
    if shared:
        raise LogError(
            f"it is the log of both versions: {shared[0]} is in {old.where}, too"
            if len(shared) == 1
            else f"it is the log of both versions: {len(shared)} files are in {old.where}, too, "
            f"such as {shared[0]}",
            where=new.where,
            next_step="give the monitor of each version a folder of its own",
        )
    for logs in (new, old := old.during(new)):
        _refuse_several(logs)
    count = 2 + sum((one.ratio is not None) + (one.seconds is not None) for one in limits.latency)
    share = alpha / count
    checks = (
        *(check for limit in limits.latency for check in _latency(old, new, limit, share)),
        _errors(new, limits.error_rate, share),
        *_scores(old, new, limits.score_drop, share),
    )
    verdict, reason = _decide(checks)
    return Canary(
        verdict=verdict,
        reason=reason,
        alpha=alpha,
        old=_side(old),
        new=_side(new),
        checks=checks,
        notes=tuple(_notes(old, new)),
    )


def _refuse_several(logs: Logs) -> None:
    """Check that one version answered: requests of an earlier one say nothing of it."""
    if len(logs.artifacts) > 1:
        raise LogError(
            f"the rows are of {len(logs.artifacts)} artifacts: "
            + ", ".join(digest[:12] or "one without a name" for digest in logs.artifacts),
            where=logs.where,
            next_step="give the monitor of each version a folder of its own, and name the rows of "
            "one",
        )


def _apart(old: Logs, new: Logs) -> str:
    """Why the two versions cannot be compared; "" where they served at the same time."""
    if not old.rows:
        return "no request of the old version is of the time of the new one"
    if old.seconds >= _TOGETHER * new.seconds:
        return ""
    return (
        f"the old version has requests in {old.seconds:.0f} of the {new.seconds:.0f} s of the new "
        "one"
    )


def held(problem: str, alpha: float) -> Canary:
    """The verdict while logs cannot be read."""
    return Canary(verdict="hold", reason=problem, alpha=alpha)


def _notes(old: Logs, new: Logs) -> Iterator[str]:
    same = [digest[:12] for digest in new.artifacts if digest and digest in old.artifacts]
    if same:
        yield (
            f"both logs name the artifact {', '.join(same)}: it is the same model, and the "
            "versions can differ in their servers alone"
        )
    for logs, name in ((old, "old"), (new, "new")):
        if logs.scored.any() and logs.unread:
            yield (
                f"{logs.unread:,} answers of the {name} version have no scores that could be read: "
                "each counts as a score of 0"
            )
    if not old.scored.any() and not new.scored.any():
        yield "neither version has scores: nothing says what its answers are worth"


def _decide(checks: tuple[Check, ...]) -> tuple[Decision, str]:
    broken = [check.name for check in checks if check.status == "broken"]
    if broken:
        return "roll back", f"the limit is broken: {', '.join(broken)}"
    still = [check.name for check in checks if check.status == "open"]
    if still:
        return "hold", f"neither kept nor broken yet: {', '.join(still)}"
    return "promote", f"all {len(checks)} limits are kept"


def _check(
    name: str,
    unit: Literal["ratio", "seconds", "share of requests", "score"],
    limit: float,
    bounds: Bounds,
    old: int,
    new: int,
) -> Check:
    value, low, high = bounds
    status: Status = "broken" if low > limit else "kept" if high <= limit else "open"
    return Check(
        name=name,
        unit=unit,
        limit=limit,
        value=_finite(value),
        low=_finite(low),
        high=_finite(high),
        status=status,
        old=old,
        new=new,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _latency(old: Logs, new: Logs, limit: LatencyLimit, alpha: float) -> Iterator[Check]:
    # A request that failed says nothing of how long an answer takes.
    before, after = old.served, new.served
    counts = len(before), len(after)
    if limit.ratio is not None:
        name = f"{limit.name}, new to old"
        if problem := _apart(old, new):
            yield Check(name=name, unit="ratio", limit=limit.ratio, problem=problem)
        elif not all(counts):
            yield Check(
                name=name,
                unit="ratio",
                limit=limit.ratio,
                problem=f"{counts[0]} and {counts[1]} requests were answered",
            )
        else:
            # Each version's quantile has half of alpha.
            ours, theirs = (quantile_bounds(one, limit.share, alpha / 2) for one in (after, before))
            low = ours[1] / theirs[2] if ours[1] > 0 else 0.0
            high = ours[2] / theirs[1] if theirs[1] > 0 else math.inf
            bounds = ours[0] / theirs[0], low, high
            yield _check(name, "ratio", limit.ratio, bounds, *counts)
    if limit.seconds is not None:
        if not counts[1]:
            yield Check(
                name=limit.name,
                unit="seconds",
                limit=limit.seconds,
                problem="no request was answered",
            )
        else:
            bounds = quantile_bounds(after, limit.share, alpha)
            yield _check(limit.name, "seconds", limit.seconds, bounds, 0, counts[1])


def _errors(new: Logs, limit: float, alpha: float) -> Check:
    """All requests count, sampled or not."""
    requests, errors = int(new.requests.sum()), int(new.errors.sum())
    if not 0 <= errors <= requests:
        raise LogError(f"{errors} of {requests} requests failed", where=new.where)
    bounds = probability_bounds(errors, requests, alpha)
    return _check("error_rate", "share of requests", limit, bounds, 0, requests)


def _scores(old: Logs, new: Logs, limit: float | None, alpha: float) -> Iterator[Check]:
    name, most = "score_drop", SCORE_DROP if limit is None else limit
    before, after = _best(old), _best(new)
    if limit is None and not len(before) and not len(after):
        return  # results of such networks have no scores
    for logs, best in ((old, before), (new, after)):
        problem = _apart(old, new)
        if not problem and not len(best):
            problem = f"no row of {logs.where} has scores"
        elif not problem and not ((best >= 0) & (best <= 1)).all():
            problem = f"scores in {logs.where} are not all from 0 to 1"
        if problem:
            yield Check(name=name, unit="score", limit=most, problem=problem)
            return
    ours, theirs = (mean_bounds_of_shares(best, alpha / 2) for best in (after, before))
    bounds = theirs[0] - ours[0], theirs[1] - ours[2], theirs[2] - ours[1]
    yield _check(name, "score", most, bounds, len(before), len(after))


def _best(logs: Logs) -> npt.NDArray[np.float64]:
    """The best score of each answer, 0 where it has no class or could not be read, (K,); none where
    no scores were read at all.
    """
    if not logs.scored.any():
        return np.zeros(0)
    best = np.zeros(len(logs.time))
    rows, _, scores = logs.classes
    # Not np.maximum: a score below 0 is to be seen.
    best[rows] = -np.inf
    np.maximum.at(best, rows, scores)
    return best[logs.answered]


def _side(logs: Logs) -> Side:
    return Side(
        suite=logs.suite,
        recipe=logs.recipe,
        artifacts=logs.artifacts,
        rows=logs.rows,
        requests=int(logs.requests.sum()),
        errors=int(logs.errors.sum()),
        first=logs.when(0) if len(logs.time) else "",
        last=logs.when(-1) if len(logs.time) else "",
    )
