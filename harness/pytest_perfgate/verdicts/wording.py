"""A verdict in words: why, what this session could have seen, and what to do next."""

from __future__ import annotations

import math

from pytest_perfgate.metric import Metric, Over, Rule
from pytest_perfgate.records.recipe import Limit, LimitKind
from pytest_perfgate.records.same_images import CHANGED_MEANWHILE
from pytest_perfgate.records.soak import SOAK_METRICS
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.units import Unit, count_of, seconds_for, show, show_percent
from pytest_perfgate.verdicts.evidence import SIGNS, TWO_SESSIONS, Compared, Risk

_POWER = 0.8  # the chance that what is called enough launches is enough


def reason(limit: Limit, metric: Metric, compared: Compared, status: Status) -> str:
    """One sentence: what was measured, and what that says of the limit."""
    measured = _measured(metric, compared)
    limit_text = f"{limit.kind.value} {limit.text}"
    note = f"; {compared.note}" if compared.note else ""
    if status is Status.FAIL:
        return f"{measured}: {limit_text} is broken{note}"
    if status is Status.PASS:
        return f"{measured}: {limit_text} is kept{note}"
    units = {
        Rule.IMAGES: ("image", "images"),
        Rule.STRETCHES: ("stretch", "stretches"),
        Rule.FOLDS: ("fold", "folds"),
    }
    one, many = units.get(metric.rule, ("launch", "launches"))
    if compared.unit:
        one, many = compared.unit, f"{compared.unit}s"
    few = (
        f"{measured}: {count_of(compared.sample, f'{one} is', f'{many} are')} too few to decide "
        f"{limit_text}"
    )
    provable = smallest(metric, compared)
    if provable is None:
        return few + note
    text = (
        show_percent(provable) if compared.scale == "ratio" else _amount(metric, compared, provable)
    )
    return (
        f"{measured}: {count_of(compared.sample, one, many)} cannot decide {limit_text}; the "
        f"smallest change they could have proven is about {text.lstrip('+')}{note}"
    )


def smallest(metric: Metric, compared: Compared) -> float | None:
    """The smallest change that this session could have proven: of scores a difference, of all else
    relative to the estimate; None: none, however large.
    """
    low, high = compared.fail_low, compared.fail_high
    if not math.isfinite(low) or not math.isfinite(high):
        return None
    # Bounds of scores lie about them by addition, those of times by a factor.
    if compared.scale == "difference" or (compared.scale == "value" and metric.unit is Unit.SCORE):
        return (high - low) / 2
    if low <= 0:
        return None
    if not compared.estimate:
        return (high - low) / 2
    return math.sqrt(high / low) - 1


def launches_needed(
    compared: Compared, bound: float, worse_is_more: bool, risk: Risk, hope: float = 0.0
) -> int | None:
    """How many launches would likely decide, at the spread that was seen; None: no number, or
    launches are not what it rests on.

    `hope` is how many standard errors the truth may lie farther from the limit than it was seen
    to, on either side: the number is then the fewest that may well do.
    """
    if compared.spread is None or compared.estimate <= 0 or bound <= 0:
        return None
    spread = max(compared.spread, 1e-4)
    off = math.log(compared.estimate / bound)
    error = hope * spread / math.sqrt(max(1, compared.sample))
    counts = [
        _launches_to_decide(compared, spread, truth, worse_is_more, risk, 0.5 if hope else _POWER)
        for truth in {off - error, off + error}
    ]
    return min((count for count in counts if count is not None), default=None)


def _launches_to_decide(
    compared: Compared, spread: float, off: float, worse_is_more: bool, risk: Risk, power: float
) -> int | None:
    """The same for a truth that is `off` the limit, as a log ratio."""
    from pytest_perfgate.stats import variance

    broken = off > 0 if worse_is_more else off < 0
    margin = abs(off)
    if compared.method == TWO_SESSIONS:
        from pytest_perfgate.stats.sequential import TRANSFER_LIMIT

        margin -= TRANSFER_LIMIT * compared.doubt  # what no launch takes away
    if margin <= 1e-4:
        return None
    if broken:
        return variance.launches_needed(spread, math.expm1(margin), risk.fail, power)
    return variance.launches_to_keep(spread, math.expm1(margin), risk.keep, power)


def next_step(
    worst: LimitResult, metric: Metric, recipe: str, pace: float | None, risk: Risk
) -> str:
    """What to do about the worst limit of a budget."""
    if worst.status is Status.NO_BASELINE:
        if worst.against:
            return "none where the recipe or its images are new: its other limits are judged"
        return "pytest --perf --perf-update records one for this machine"
    if worst.status is Status.INCONCLUSIVE:
        return _to_decide(worst, metric, pace, risk)
    if worst.status is Status.FAIL:
        if worst.against.startswith("base ") and " under " in worst.against:
            return (
                "the report lists the packages that differ: pin the one that caused it; or change "
                "the budget in recipes.toml"
            )
        if worst.against.startswith("base "):
            commit = worst.against.rstrip(")").rpartition("(")[2].removeprefix("base ")
            return f"git diff {commit} shows what changed; or change the budget in recipes.toml"
        if worst.kind == LimitKind.REGRESSION.value:
            return (
                f"find the commit that caused it; if it is intended: pytest --perf -k {recipe} "
                "--perf-update --perf-reason 'why'"
            )
        return f"change the recipe {recipe!r}, or its budget in recipes.toml"
    if worst.status is Status.ERROR and CHANGED_MEANWHILE in worst.reason:
        return "run the session again, when nothing writes its images and annotations any more"
    if worst.status is Status.ERROR:
        if metric.over is Over.SLICES:
            return f"compare the slices of {recipe!r} with its reference's in the report"
        return "see the error of the other recipe in the report"
    return ""


def _to_decide(worst: LimitResult, metric: Metric, pace: float | None, risk: Risk) -> str:
    if metric.rule is Rule.IMAGES:
        return "add validation images, or widen the budget"
    if metric.rule is Rule.FOLDS:
        return "add folds or training images, or widen the budget"
    if metric.name in SOAK_METRICS:
        return "raise workload.duration, or widen the budget"
    if metric.rule is Rule.STRETCHES:
        return "widen the budget: one run cannot distinguish a leak from growth within the noise"
    from pytest_perfgate.stats.sequential import KEEPING, fewest

    if metric.rule is Rule.LAUNCHES and worst.sample < KEEPING.first:
        enough = KEEPING.first if worst.method == TWO_SESSIONS else fewest(risk.fail)
        text = f"at least {KEEPING.first} launches decide that a budget is kept"
        if enough > KEEPING.first:
            text += f", and {enough} that it is broken"
        return text + (f": --perf-seconds={seconds_for(enough * pace)}" if pace else "")
    helps = []
    if worst.needed is not None:
        more = max(1, worst.needed - worst.sample)
        text = f"about {count_of(more, 'launch', 'launches')} more would decide it"
        if pace:
            text += f": --perf-seconds={seconds_for((worst.sample + more) * pace)}"
        helps.append(text)
    if worst.kind == LimitKind.REGRESSION.value and worst.method == TWO_SESSIONS:
        if worst.needed is None:
            helps.append("more launches cannot decide this across two sessions")
        helps.append("--perf-base REF measures both versions in one session")
    if worst.needed is None and worst.method == SIGNS:
        helps.append("the value is too close to the limit for this machine")
    helps.append("a quieter machine (pytest-perfgate doctor)")
    kept = kept_limit(worst, metric.unit)
    helps.append(f"a wider budget{f' ({kept} would have been kept)' if kept else ''}")
    return "; ".join(helps)


def kept_limit(worst: LimitResult, unit: Unit) -> str:
    """The limit that would have been called kept, "" when there is none."""
    if worst.kept is None:
        return ""
    if worst.kind in {LimitKind.MAX.value, LimitKind.MIN.value}:
        return f"{worst.kind} {show(worst.kept, unit)}"
    if worst.kind == LimitKind.SPEEDUP.value:
        lower = worst.limit < 1 or worst.kept < 1
        factor = 1 / worst.kept if lower and worst.kept else worst.kept
        return f"speedup {factor:.2f}" if factor > 0 else ""
    if worst.scale == "ratio":
        change = max(worst.kept - 1, 1 / worst.kept - 1) if worst.kept > 0 else 0.0
        return f"{worst.kind} {math.ceil(change * 1000) / 10:g}%" if 0 < change < 10 else ""
    return ""


def _measured(metric: Metric, compared: Compared) -> str:
    if compared.scale == "ratio":
        return f"{metric.name} is {show_percent(compared.estimate - 1)} to its {compared.against}"
    if compared.scale == "difference":
        change = f"{compared.estimate:+.4f}"
        if metric.rule is Rule.EXACT:  # a count beside 0
            change = f"+{show(compared.estimate, metric.unit)}"
        return f"{metric.name} is {change} to its {compared.against}"
    return f"{metric.name} is {show(compared.estimate, metric.unit)}"


def _amount(metric: Metric, compared: Compared, value: float) -> str:
    if compared.scale == "difference" or metric.unit is Unit.SCORE:
        return f"{value:.4f}"
    return show_percent(value)
