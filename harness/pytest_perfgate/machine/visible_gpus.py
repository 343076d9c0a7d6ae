"""Which GPUs a process may use: NVML's, as CUDA_VISIBLE_DEVICES leaves them. No CUDA is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine import nvml

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def visible(library: nvml.Library, environ: Mapping[str, str] = os.environ) -> list[nvml.Device]:
    """The devices that CUDA would show, in its order, by the rules of the CUDA C++ Programming
    Guide, "CUDA Environment Variables": numbers or begins of UUIDs, and nothing after what names no
    device.

    Raises:
        RuntimeFault: numbers name devices of several models, and not in NVML's order.
    """
    every = nvml.devices(library)
    listed = environ.get(VISIBLE)
    if listed is None:
        return every
    shown: list[nvml.Device] = []
    for name in (word.strip() for word in listed.split(",")):
        device = _named(name, every, environ)
        if device is None or device in shown:
            break  # CUDA ignores everything after a name that is wrong
        shown.append(device)
    return shown


def count(environ: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """The number of GPUs that this process may use; and why they cannot be counted, or ""."""
    library, problem = nvml.connect()
    if library is None:
        return 0, problem
    try:
        return len(visible(library, environ)), ""
    except RuntimeFault as fault:
        return 0, fault.problem
    finally:
        library.close()


def uuids(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The UUIDs of the GPUs that this process may use.

    Raises:
        RuntimeFault: that cannot be told.
    """
    library, problem = nvml.connect()
    if library is None:
        raise RuntimeFault(
            f"the GPUs of this machine cannot be listed: {problem}", next_step=nvml.GET_IT
        )
    try:
        return tuple(device.uuid for device in visible(library, environ))
    finally:
        library.close()


def _named(
    name: str, every: Sequence[nvml.Device], environ: Mapping[str, str]
) -> nvml.Device | None:
    if not name.isdecimal():
        named = [device for device in every if name and device.uuid.startswith(name)]
        return named[0] if len(named) == 1 else None
    if len({device.name for device in every}) > 1 and environ.get(ORDER) != "PCI_BUS_ID":
        raise RuntimeFault(
            f"{VISIBLE}={environ[VISIBLE]} numbers GPUs of several models, and CUDA counts the "
            "fastest first",
            valid=", ".join(device.uuid for device in every),
            next_step=f"name them by UUID, or set {ORDER}=PCI_BUS_ID",
        )
    return every[int(name)] if int(name) < len(every) else None
