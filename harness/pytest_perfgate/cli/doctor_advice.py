"""What would make a machine calmer, from its setup and from what its launches observed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.host_setup import Busy, Surroundings
from pytest_perfgate.units import Unit, count_of, percent, show

_NOTABLE_OTHERS, _NOTABLE_STOLEN = 0.03, 0.005  # shares of the cores' time


def advice(
    setup: Surroundings, conditions: Sequence[Conditions], busy: Sequence[Busy], cores: int
) -> tuple[str, ...]:
    """What would make the machine calmer, the greatest effect first, as far as it can be read."""
    listed = [*_neighbours(conditions, busy), *_limits(setup, conditions), *_cores(setup, cores)]
    return tuple(text for _, text in sorted(listed, key=lambda item: -item[0]))


Weighted = tuple[float, str]
"""A piece of advice with the share of the time that it is about, as an order."""


def _neighbours(conditions: Sequence[Conditions], busy: Sequence[Busy]) -> Iterator[Weighted]:
    """What other processes and other guests take."""
    for process in busy:
        yield (
            process.share,
            f"process {process.pid} ({process.name}) used {percent(process.share)} of a core: stop "
            "it, or measure while it is idle",
        )
    others = mean([condition.others for condition in conditions]) or 0.0
    if others > _NOTABLE_OTHERS and not busy:
        yield (
            others,
            f"short-lived processes used {percent(others)} of the cores: stop what starts them "
            "(cron, indexers, other jobs)",
        )
    stolen = mean([condition.stolen for condition in conditions]) or 0.0
    if stolen > _NOTABLE_STOLEN:
        yield (
            2 * stolen,
            f"the hypervisor gave {percent(stolen)} of the time to other guests: use a dedicated "
            "host or dedicated cores",
        )


def _limits(setup: Surroundings, conditions: Sequence[Conditions]) -> Iterator[Weighted]:
    """Quotas, memory and heat."""
    stopped = mean([condition.quota_stopped for condition in conditions]) or 0.0
    if stopped > 0:
        quota = f" of {setup.quota:.2g} cores" if setup.quota else ""
        yield (
            1 + stopped,
            f"the control group's CPU quota{quota} stopped the launches {percent(stopped)} of the "
            "time: raise or remove it (cpu.max)",
        )
    pages = sum(
        (condition.swapped_in or 0) + (condition.swapped_out or 0) for condition in conditions
    )
    if pages:
        yield (
            1.0,
            f"the machine swapped {count_of(pages, 'page')} during the launches: free memory",
        )
    elif setup.swap_used:
        yield (
            0.01,
            f"{show(setup.swap_used, Unit.BYTES)} are swapped out: free memory, or run swapoff -a, "
            "so that no page is read back during a launch",
        )
    hot = sum(condition.throttle_events or 0 for condition in conditions)
    if hot:
        yield 0.5, f"heat slowed the cores down {count_of(hot, 'time')}: improve the cooling"


def _cores(setup: Surroundings, cores: int) -> Iterator[Weighted]:
    """How the cores are set up."""
    if setup.governor and set(setup.governor.split(", ")) != {"performance"}:
        yield (
            0.05,
            f"the frequency governor is {setup.governor}: cpupower frequency-set -g performance",
        )
    if setup.siblings:
        yield (
            0.04,
            "some cores are threads of one physical core: launches use the first of each, and are "
            "slowed down by what others run on the second; switch SMT off",
        )
    if setup.boost:
        yield (
            0.03,
            "frequency boost is on: speed depends on heat and on the other cores; switch it off "
            "(cpufreq/boost, intel_pstate/no_turbo)",
        )
    if cores == 1:
        yield 0.02, "pytest and the launches share one core: use two"


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was measured, None when nothing was."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
