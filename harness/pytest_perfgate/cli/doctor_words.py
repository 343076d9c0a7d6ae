"""The examination of a machine as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfgate.cli.doctor_advice import mean
from pytest_perfgate.cli.doctor_examination import Examination
from pytest_perfgate.cli.doctor_noise import _PATIENCE, CALM_SECONDS
from pytest_perfgate.machine import steadiness
from pytest_perfgate.units import Unit, frequency, percent, show


def words(examination: Examination) -> list[str]:
    """The examination for people, line by line."""
    noise, machine = examination.noise, examination.machine
    lines = [
        f"measured  {machine.id}, {examination.seconds:.0f} s: {noise.launches} launches of "
        f"identical code, {noise.pairs} pairs of arms, {noise.rounds} rounds each",
        "",
        "noise, as the standard deviation of a ratio that should be 1",
        f"  one round            {noise.within:7.2%}",
        f"  added by a pair      {noise.between:7.2%}   the same for all its rounds",
        f"  a launch's median    {noise.p50:7.2%}   decides latency_p50",
        f"  a launch's p95       {noise.p95:7.2%}   decides latency_p95",
        f"  level over launches  {noise.level:7.2%}   decides max and min",
        "",
        "conditions (mean, worst launch)",
    ]
    lines += [f"  {name:<20} {text}" for name, text in _conditions(examination)]
    lines += [f"  {line}" for line in steadiness.notes(examination.conditions)]
    lines += [
        "",
        "seconds per verdict on latency_p50 against the reference, with 80 % probability",
        "  tolerance    PASS, without a change        FAIL, at twice the tolerance",
    ]
    for answer in examination.answers:
        kept = _cost(answer.pass_launches, answer.pass_seconds)
        broken = _cost(answer.fail_launches, answer.fail_seconds)
        lines.append(f"  {answer.tolerance:>8.0%}     {kept:<28}  {broken}")
    lines += [
        f"  A launch takes {examination.launch_seconds:.1f} s here. With a model it takes longer, "
        "and arms of different code vary more.",
        "",
    ]
    if examination.advice:
        lines.append("what would make it calmer")
        lines += [f"  {number}. {text}" for number, text in enumerate(examination.advice, 1)]
    else:
        lines.append("no known cause of noise was observed")
    if examination.unsteady:
        lines += [
            "",
            f"not calm enough: {examination.unsteady}; here no time is judged worse than a stored "
            "one, and no baseline is written",
        ]
        return lines
    state = "calm enough" if examination.calm else "not calm enough"
    decided = "decided" if examination.calm else "not decided"
    lines += ["", f"{state}: a tolerance of 5 % is {decided} within {CALM_SECONDS:.0f} s"]
    return lines


def _cost(launches: int | None, seconds: float | None) -> str:
    if launches is None or seconds is None:
        return f"not within {_PATIENCE / 60:.0f} minutes"
    return f"{seconds:.0f} s ({launches} launches)"


def _conditions(examination: Examination) -> list[tuple[str, str]]:
    conditions, set_up = examination.conditions, examination.surroundings
    none = "not measured"

    def shares(values: Sequence[float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{percent(mean(known))}, {percent(max(known))}" if known else none

    def total(values: Sequence[int | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{sum(known):,}" if known else none

    def yes(value: bool | None) -> str:
        return none if value is None else "yes" if value else "no"

    lowest = [
        launch.frequency_lowest for launch in conditions if launch.frequency_lowest is not None
    ]
    quota = "none" if set_up.quota is None else f"{set_up.quota:.2g} cores"
    return [
        ("stolen", shares([launch.stolen for launch in conditions])),
        ("used by others", shares([launch.others for launch in conditions])),
        ("waited for the core", shares([launch.waited for launch in conditions])),
        (
            "stopped by quota",
            f"{shares([launch.quota_stopped for launch in conditions])}; quota {quota}",
        ),
        ("memory pressure", shares([launch.memory_pressure for launch in conditions])),
        (
            "pages swapped",
            f"{total([launch.swapped_in for launch in conditions])} in, "
            f"{total([launch.swapped_out for launch in conditions])} out; swap in use "
            f"{show(set_up.swap_used, Unit.BYTES)}",
        ),
        ("slowed for heat", total([launch.throttle_events for launch in conditions])),
        (
            "frequency",
            f"{frequency(mean([launch.frequency_mean for launch in conditions]))}, lowest "
            f"{frequency(min(lowest, default=None))}; governor {set_up.governor or none}, boost "
            f"{yes(set_up.boost)}",
        ),
        ("SMT siblings used", yes(set_up.siblings)),
        ("virtual machine", yes(set_up.virtual)),
        ("load before", none if set_up.load is None else f"{set_up.load:.2f} ready processes"),
    ]
