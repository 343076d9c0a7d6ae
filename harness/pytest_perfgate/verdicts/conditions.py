"""Whether a budget applies on a machine."""

from __future__ import annotations

from fnmatch import fnmatchcase

from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.records.recipe import Condition
from pytest_perfgate.units import Unit, show


def why_not(condition: Condition | None, machine: Machine) -> str:
    """Why a budget does not apply on a machine, "" when it does."""
    if condition is None:
        return ""
    if condition.cpu and condition.cpu not in machine.features:
        return f"the CPU has no {condition.cpu}"
    pattern = condition.gpu.casefold()
    if pattern and not any(fnmatchcase(gpu.name.casefold(), pattern) for gpu in machine.gpus):
        return f"there is no GPU like {condition.gpu}"
    if machine.cores < condition.cores:
        return f"it has {machine.cores} cores, and the budget needs {condition.cores}"
    if machine.memory * 2**30 < condition.memory:
        needed = show(condition.memory, Unit.BYTES)
        return f"it has {machine.memory} GiB of memory, and the budget needs {needed}"
    return ""
