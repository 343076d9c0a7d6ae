"""ARM processors whose /proc/cpuinfo names no model are told apart by their cores' numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.machine import fingerprint
from pytest_perfgate.machine.arm_cores import core_names

CORE = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: {implementer}
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 3

"""


def cpuinfo(*cores: tuple[str, str]) -> str:
    """As the kernel writes it, for cores by implementer and part."""
    return "".join(
        CORE.format(number=number, implementer=implementer, part=part)
        for number, (implementer, part) in enumerate(cores)
    )


@pytest.mark.parametrize(
    ("cores", "name"),
    [
        ([("0x41", "0xd03")] * 4, "ARM Cortex-A53"),
        ([("0x41", "0xd08")] * 4, "ARM Cortex-A72"),
        ([("0x41", "0xd0c")], "ARM Neoverse-N1"),
        ([("0x4e", "0x004")] * 8, "NVIDIA Carmel"),
        (
            [("0x41", "0xd08")] * 2 + [("0x41", "0xd03")] * 4,
            "4 x ARM Cortex-A53, 2 x ARM Cortex-A72",
        ),
        ([("0x41", "0xfff")], "ARM part 0xfff"),
        ([("0x99", "0x1")], "implementer 0x99 part 0x001"),
        ([], ""),
    ],
)
def test_cores_have_names(cores: list[tuple[str, str]], name: str) -> None:
    """The vendor's, several kinds with their counts; what the table lacks is its number."""
    assert core_names(cpuinfo(*cores)) == name


def test_two_processors_are_two_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared between a Cortex-A53 and a Cortex-A72. A 32-bit kernel's "model name" is
    that of the architecture.
    """
    machines = []
    for part in ("0xd03", "0xd08"):
        file = tmp_path / part
        file.write_text("model name\t: ARMv7 Processor rev 4 (v7l)\n" + cpuinfo(("0x41", part)))
        monkeypatch.setattr(fingerprint, "_CPUINFO", file)
        machines.append(fingerprint.this_machine())
    assert [machine.cpu for machine in machines] == ["ARM Cortex-A53", "ARM Cortex-A72"]
    assert machines[0].features == ("asimd",)
    assert machines[0].id != machines[1].id
