"""What would make a machine calmer, from how it is set up and what was seen while it measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.host_setup import Busy, Surroundings
from pytest_perfgate.units import Unit, percent, show


def advice(
    found: Surroundings, conditions: Sequence[Conditions], busy: Sequence[Busy], cores: int
) -> tuple[str, ...]:
    """What would make the machine calmer, the greatest effect first, as far as it can be read."""
    listed: list[tuple[float, str]] = [
        (
            each.share,
            f"process {each.pid} ({each.name}) used {each.share * 100:.0f} % of a core: stop it, "
            "or measure when it rests",
        )
        for each in busy
    ]
    others = mean([seen.others for seen in conditions]) or 0.0
    if others > 0.03 and not busy:
        listed.append(
            (others, f"short-lived processes used {percent(others)} of the cores: stop what starts "
             "them (cron, indexers, other jobs)")
        )  # fmt: skip
    stolen = mean([seen.stolen for seen in conditions]) or 0.0
    if stolen > 0.005:
        listed.append(
            (2 * stolen, f"the hypervisor gave {percent(stolen)} of the time to other guests: a "
             "dedicated host, or cores of its own, has none of that")
        )  # fmt: skip
    stopped = mean([seen.quota_stopped for seen in conditions]) or 0.0
    if stopped > 0:
        quota = f" of {found.quota:.2g} cores" if found.quota else ""
        listed.append(
            (1 + stopped, f"the control group's CPU quota{quota} stopped the launches "
             f"{percent(stopped)} of the time: raise it (cpu.max), or do without one")
        )  # fmt: skip
    pages = sum((seen.swapped_in or 0) + (seen.swapped_out or 0) for seen in conditions)
    if pages:
        listed.append((1.0, f"the machine swapped {pages:,} pages meanwhile: free memory"))
    elif found.swap_used:
        listed.append(
            (0.01, f"{show(found.swap_used, Unit.BYTES)} are swapped out: free memory, or swapoff "
             "-a, so that nothing is read back while one measures")
        )  # fmt: skip
    hot = sum(seen.throttle_events or 0 for seen in conditions)
    if hot:
        listed.append((0.5, f"the cores were slowed down {hot} times for their heat: cool them"))
    if found.governor and set(found.governor.split(", ")) != {"performance"}:
        listed.append(
            (0.05, f"the frequency governor is {found.governor}: cpupower frequency-set -g "
             "performance")
        )  # fmt: skip
    if found.siblings:
        listed.append(
            (0.04, "some cores are threads of one physical core, and slow each other down: switch "
             "SMT off, or leave one of each pair to pytest (taskset)")
        )  # fmt: skip
    if found.boost:
        listed.append(
            (0.03, "frequency boost is on, so speed depends on heat and on the other cores: switch "
             "it off (cpufreq/boost, intel_pstate/no_turbo)")
        )  # fmt: skip
    if cores == 1:
        listed.append((0.02, "there is one core, which pytest and launches share: use two"))
    return tuple(text for _, text in sorted(listed, key=lambda each: -each[0]))


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was measured, None when nothing was."""
    known = [each for each in values if each is not None]
    return statistics.fmean(known) if known else None
