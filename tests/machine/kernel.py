"""A root folder with the files of /proc and /sys that a kernel would have, from recorded text."""

from __future__ import annotations

from pathlib import Path

STAT = """\
cpu  {0} 0 200 9000 50 0 10 30 0 0
cpu0 {0} 0 100 5000 20 0 5 {1} 0 0
cpu1 100 0 100 4000 30 0 5 10 0 0
intr 8297246 0 0
ctxt 123
"""
"""Of a machine with two cores: user ticks and stolen ticks of core 0 are filled in."""

PROCESS = (
    "{pid} (a (strange) name) S {parent} 7 7 0 -1 4194304 100 0 {faults} 0 {user} {system} 0 0 "
    "20 0 1 0 2055379 3133440 390 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"
)

VMSTAT = "nr_free_pages 1\npswpin {0}\npswpout {1}\npgmajfault 28570\n"
PRESSURE = "some avg10=0.01 avg60=1.44 avg300=2.00 total={0}\nfull avg10=0.00 total=0\n"
VERSION_1 = "nr_periods 0\nnr_throttled {0}\nthrottled_time {1}\nnr_bursts 0\nburst_time 0\n"
VERSION_2 = "usage_usec 9\nuser_usec 8\nnr_periods 5\nnr_throttled {0}\nthrottled_usec {1}\n"


def put(root: Path, name: str, text: str) -> None:
    """Writes one file below the root."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def process(root: Path, pid: int | str, user: int, **more: int) -> None:
    """Writes a process's files: CPU ticks, and by name its parent, faults, waited ns."""
    values = {"parent": 1, "faults": 0, "system": 0, "waited": 0} | more
    put(root, f"proc/{pid}/stat", PROCESS.format(pid=1, user=user, **values))
    put(root, f"proc/{pid}/schedstat", f"116983 {values['waited']} 2\n")
    put(root, f"proc/{pid}/comm", "a (strange) name\n")
