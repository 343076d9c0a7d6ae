"""A temporary folder is its process's own, and is swept when that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pytest_perfgate.machine.held_folders import held_folder

HOLDS = """\
import sys, time
from pathlib import Path
from pytest_perfgate.machine.held_folders import held_folder
with held_folder(Path.cwd()) as folder:
    (folder / "images.npz").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


def old(folder: Path) -> None:
    """Makes it as old as one of last week."""
    os.utime(folder, (time.time() - 7 * 86400,) * 2)


def test_what_a_killed_process_left_is_swept_and_what_another_holds_stays(tmp_path: Path) -> None:
    """By their locks: neither has anything to do with a process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        old(held)
        with held_folder(tmp_path) as ours:
            assert ours != held
            assert held.is_dir()
    finally:
        process.kill()
        process.wait()
    assert not ours.exists()
    with held_folder(tmp_path):
        assert not held.exists()


def test_folders_of_before_are_swept_by_age(tmp_path: Path) -> None:
    """One that has no lock may be of this moment; a link is never followed."""
    for name in ("123", "fresh", "elsewhere/kept"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "logs" / "elsewhere")
    old(tmp_path / "logs" / "123")
    with held_folder(tmp_path / "logs", "name") as folder:
        left = {folder.name for folder in (tmp_path / "logs").iterdir()}
        assert left == {"fresh", "elsewhere", "link", folder.name}
        assert folder.name.startswith("name-")
