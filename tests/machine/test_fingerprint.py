"""The fingerprint of a machine with a GPU: what refuses a comparison, and what is a suspect."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.machine.fingerprint import (
    _FEATURES,
    FEATURES,
    Environment,
    Gpu,
    Machine,
    differences,
    gpus_of,
)
from pytest_perfgate.machine.nvml import versions

from tests.machine.recorded import Recorded


def machine(**changed: Any) -> Machine:
    """A machine with what NVML tells."""
    return Machine(
        cpu="Test", features=(), cores=4, memory=16, gpus=gpus_of(Recorded(**changed)), os="Linux"
    )


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_that_a_suite_may_require_is_in_fingerprints(name: str) -> None:
    """Else no machine could meet it."""
    assert _FEATURES.match(name)


def test_a_gpu_is_described_in_base_units() -> None:
    """Watts and Hz; what it does not tell is null."""
    (gpu,) = machine().gpus
    assert gpu == Gpu(
        name="NVIDIA A10",
        count=1,
        power_limit=150.0,
        sm_clock_cap=1695e6,
        memory_clock_cap=6251e6,
        mig=None,
        ecc=True,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"DeviceGetName": "NVIDIA L4"},
        {"DeviceGetPowerManagementLimit": 120_000},
        {"DeviceGetMaxClockInfo": {1: 1410, 2: 6251}},
        {"DeviceGetMaxClockInfo": {1: 1695, 2: 5001}},
        {"DeviceGetMigMode": [1, 1]},
        {"DeviceGetEccMode": [0, 0]},
        {"DeviceGetCount": 2},
    ],
    ids=str,
)
def test_another_gpu_or_another_setup_is_another_machine(changed: dict[str, Any]) -> None:
    """Nothing is compared across these."""
    assert machine(**changed).id != machine().id


def test_the_driver_is_a_suspect_and_not_another_machine() -> None:
    """A driver or CUDA that was updated: compared, and named."""
    updated = {"SystemGetDriverVersion": "560.35.03", "SystemGetCudaDriverVersion_v2": 12060}
    assert machine(**updated).id == machine().id
    before, now = (
        Environment(python="3", kernel="6", packages={"torch": "2.13.0"}, gpu=versions(library))
        for library in (Recorded(), Recorded(**updated))
    )
    assert differences(before, now) == (
        "CUDA of the driver 12.4 -> 12.6",
        "NVIDIA driver 550.90.07 -> 560.35.03",
    )


def test_gpus_that_are_set_up_alike_are_counted() -> None:
    """Two of one model are one entry."""
    assert [gpu.count for gpu in machine(DeviceGetCount=2).gpus] == [2]
    assert gpus_of(Recorded(DeviceGetCount=0)) == ()
