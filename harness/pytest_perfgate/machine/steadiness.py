"""Which launches a machine has disturbed: pure functions over what its kernel told.

No timing is looked at, only conditions that all arms of a launch had in common, so leaving a launch
out cannot favour one of them. A condition may still be an arm's own doing (memory so large that the
machine swaps, instructions that heat the cores); that is why few launches may ever be left out, and
why a disturbance of most launches stays in the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_perfgate.machine.conditions import Conditions, DeviceConditions

MOST_STOLEN = 0.05
"""Share of the cores' time: a hypervisor that takes more moves medians, not only tails."""

MOST_OTHERS = 0.10
"""Share of the cores' time used by others: what turns are taken on is not the launch's own."""

MOST_WAITED = 0.10
"""Share of the time that the launch stood in line for its core."""

MOST_SWAPPED = 256
"""Pages in and out, of the whole machine: 1 MiB of the usual 4 KiB. Less is somebody's old page."""

MOST_MAJOR_FAULTS = 100
"""Page faults that read a disk: after the warm-up an arm has no business with it."""

MOST_QUOTA_STOPPED = 0.05
"""Share of the time that the control group's quota had the launch stopped."""

MOST_MEMORY_PRESSURE = 0.05
"""Share of the time that some process waited for memory."""

MOST_SLOWED = 0.20
"""How far the lowest frequency between rounds may lie below their mean."""

LARGEST_SHARE = 0.25
"""Of a suite's launches, at most this share may be left out …"""

FEWEST_LEFT = 4
"""… and never so many that fewer than this remain."""

MOST_THROTTLED = 0.25
"""Share of the readings in which a GPU was slower than it could be, for its heat or its power."""

_ANY = 0.5  # the limit of a count that should be zero


@dataclass(frozen=True)
class _Cause:
    """One way to be disturbed: how much of it there was, what is allowed, and how it is said."""

    amount: Callable[[Conditions], float | None]
    most: float
    words: str
    show: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _whole(count: float) -> str:
    return f"{count:,.0f}"


def _swapped(launch: Conditions) -> float | None:
    known = [pages for pages in (launch.swapped_in, launch.swapped_out) if pages is not None]
    return float(sum(known)) if known else None


def _slowed(launch: Conditions) -> float | None:
    if launch.frequency_lowest is None or not launch.frequency_mean:
        return None
    return 1.0 - launch.frequency_lowest / launch.frequency_mean


def _worst_device(
    launch: Conditions, amount: Callable[[DeviceConditions], float | None]
) -> float | None:
    known = [value for device in launch.devices if (value := amount(device)) is not None]
    return max(known, default=None)


_CAUSES = (
    _Cause(
        lambda launch: launch.stolen,
        MOST_STOLEN,
        "the hypervisor gave {} of the cores' time to other guests",
        _percent,
    ),
    _Cause(
        lambda launch: launch.others,
        MOST_OTHERS,
        "other processes used {} of the cores' time",
        _percent,
    ),
    _Cause(
        lambda launch: launch.waited, MOST_WAITED, "it waited {} of the time for its core", _percent
    ),
    _Cause(_swapped, MOST_SWAPPED, "the machine swapped {} pages", _whole),
    _Cause(
        lambda launch: launch.major_faults,
        MOST_MAJOR_FAULTS,
        "{} page faults had to read a disk",
        _whole,
    ),
    _Cause(
        lambda launch: launch.quota_stopped,
        MOST_QUOTA_STOPPED,
        "the control group's CPU quota stopped it {} of the time",
        _percent,
    ),
    _Cause(
        lambda launch: launch.memory_pressure,
        MOST_MEMORY_PRESSURE,
        "processes waited {} of the time for memory",
        _percent,
    ),
    _Cause(
        lambda launch: launch.throttle_events,
        _ANY,
        "the cores were slowed down {} times for their heat",
        _whole,
    ),
    _Cause(
        lambda launch: _worst_device(launch, lambda device: device.throttled),
        MOST_THROTTLED,
        "the GPU was throttled in {} of the readings",
        _percent,
    ),
    _Cause(_slowed, MOST_SLOWED, "the cores' frequency fell {} below its mean", _percent),
)


def severity(launch: Conditions) -> float:
    """The worst condition as a multiple of what is allowed: above 1 is not steady. What was not
    measured counts as 0, so it neither excuses nor accuses.
    """
    return max(_excess(cause, launch) for cause in _CAUSES)


def unsteady(launch: Conditions) -> str:
    """Why the launch with these conditions is not to be trusted, the worst first; "" when it is."""
    broken = sorted(
        (cause for cause in _CAUSES if _excess(cause, launch) > 1),
        key=lambda cause: -_excess(cause, launch),
    )
    return "; ".join(_say(cause, launch) for cause in broken)


def discards(conditions: Sequence[Conditions]) -> dict[int, str]:
    """The launches to leave out, by their index, and why; `conditions` are of all launches of a
    suite, in any order.

    The worst go first, of equally bad ones the earlier. At most `LARGEST_SHARE` of the launches go,
    and at least `FEWEST_LEFT` stay, however bad they are: what is left is judged as it is.
    """
    most = min(int(len(conditions) * LARGEST_SHARE), len(conditions) - FEWEST_LEFT)
    disturbed = sorted(
        (-severity(launch), launch.index) for launch in conditions if severity(launch) > 1
    )
    chosen = {index for _, index in disturbed[: max(0, most)]}
    return {launch.index: unsteady(launch) for launch in conditions if launch.index in chosen}


def loud(conditions: Sequence[Conditions]) -> str:
    """Why this session's times say nothing beside stored ones: most launches were unsteady; "" when
    they do. Fewer than `FEWEST_LEFT` launches say nothing about the machine.
    """
    return "" if len(conditions) < FEWEST_LEFT else mostly_unsteady(conditions)


def mostly_unsteady(conditions: Sequence[Conditions]) -> str:
    """That most of these launches were unsteady, and why; "" when they were not."""
    rough = [launch for launch in conditions if severity(launch) > 1]
    if 2 * len(rough) <= len(conditions):
        return ""
    worst = max(rough, key=severity)
    return f"{len(rough)} of {len(conditions)} launches were unsteady ({unsteady(worst)})"


def mark(conditions: Sequence[Conditions]) -> tuple[Conditions, ...]:
    """The same conditions in the same order, `discarded` set by `discards`."""
    reasons = discards(conditions)
    return tuple(
        launch.model_copy(update={"discarded": reasons.get(launch.index, "")})
        for launch in conditions
    )


def notes(conditions: Sequence[Conditions]) -> tuple[str, ...]:
    """What was seen, one line each, for the evidence; nothing when all was steady and measured."""
    ordered = sorted(conditions, key=lambda launch: launch.index)
    if not ordered:
        return ()
    lines = []
    rough = [launch for launch in ordered if severity(launch) > 1]
    if rough:
        lines.append(f"{len(rough)} of {len(ordered)} launches ran while the machine was unsteady")
    for cause in _CAUSES:
        hit = [launch for launch in rough if _excess(cause, launch) > 1]
        if hit:
            worst = max(hit, key=lambda launch: _excess(cause, launch))
            most = "" if len(hit) == 1 else ", at most"
            lines.append(f"{_launches(hit)}{most}: {_say(cause, worst)}")
    means = [launch.frequency_mean for launch in ordered if launch.frequency_mean]
    if means and min(means) < (1 - MOST_SLOWED) * max(means):
        low, high = min(means) / 1e9, max(means) / 1e9
        lines.append(f"the cores ran at {low:.2f} GHz in one launch and at {high:.2f} in another")
    if all(launch.others is None and launch.waited is None for launch in ordered):
        lines.append("whether other processes used the cores could not be measured")
    lines += _of_devices(ordered)
    lines += [
        f"launch {launch.index} does not count: {launch.discarded}"
        for launch in ordered
        if launch.discarded
    ]
    return tuple(lines)


def _of_devices(ordered: Sequence[Conditions]) -> list[str]:
    """Observations of GPUs that discard no launch, but are a reason to look."""
    pairs = [(launch, device) for launch in ordered for device in launch.devices]
    lines = [
        f"the GPU {uuid} could not be read: {problem}"
        for uuid, problem in dict.fromkeys(
            (device.uuid, device.problem) for _, device in pairs if device.problem
        )
    ]
    lines += _throttled([(launch, device) for launch, device in pairs if device.rounds_left_out])
    unsettled = [launch for launch, device in pairs if device.settled is False]
    if unsettled:
        lines.append(f"the GPU's clocks were not steady before {_launches(unsettled)} began")
    others = [device.others for _, device in pairs if device.others]
    if others:
        lines.append(f"{max(others)} other processes were on the GPU")
    if any(device.mig for _, device in pairs):
        lines.append("the GPU is divided (MIG): energy and clocks are those of the whole device")
    return lines


def _throttled(pairs: Sequence[tuple[Conditions, DeviceConditions]]) -> list[str]:
    """Rounds left out because the GPU was throttled; `pairs` are the launches with such rounds."""
    if not pairs:
        return []
    # Devices of one launch share its rounds: the worst of them stands for it.
    worst = {
        launch.index: (launch, device)
        for launch, device in sorted(pairs, key=lambda pair: pair[1].rounds_left_out)
    }
    lost = sum(device.rounds_left_out for _, device in worst.values())
    whole = sum(device.rounds for _, device in worst.values())
    causes = sorted({cause for _, device in pairs for cause in device.throttles})
    launches = _launches([worst[index][0] for index in sorted(worst)])
    return [
        f"{lost} of {whole} rounds of {launches} do not count: the GPU was throttled "
        f"({', '.join(causes) or 'the driver gave no reason'})"
    ]


def _excess(cause: _Cause, launch: Conditions) -> float:
    amount = cause.amount(launch)
    return 0.0 if amount is None else amount / cause.most


def _say(cause: _Cause, launch: Conditions) -> str:
    text = cause.words.format(cause.show(cause.amount(launch) or 0.0))
    allowed = "none" if cause.most == _ANY else f"at most {cause.show(cause.most)}"
    return f"{text} (allowed: {allowed})"


def _launches(hit: Sequence[Conditions]) -> str:
    if len(hit) == 1:
        return f"launch {hit[0].index}"
    return f"launches {', '.join(str(launch.index) for launch in hit)}"
