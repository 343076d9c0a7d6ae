"""Data that suites make on first use, and keep below `$PERFGATE_CACHE` or, without it, below
`.perfgate` in the project's root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def made_once(name: str, make: Callable[[], Mapping[str, Any]], *sources: str) -> dict[str, Any]:
    """What `make` gives, from the files of its first call: arrays mapped from the disk, other
    values as JSON has them.

    `sources` are the modules that make it: after a change of one of them it is made again. Two
    processes may do so at once; files are there all or not at all.
    """
    folder = _cache() / "data" / f"{name}-{_version(sources)}"
    if not folder.exists():
        _write(make(), folder)
    arrays = {
        file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")
    }
    return arrays | {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


def _write(values: Mapping[str, Any], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                np.save(fresh / f"{name}.npy", value, allow_pickle=False)
            else:
                (fresh / f"{name}.json").write_text(json.dumps(value))
        try:
            fresh.replace(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _cache() -> Path:
    chosen = os.environ.get("PERFGATE_CACHE")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[1] / ".perfgate"


def _version(sources: tuple[str, ...]) -> str:
    """A text for the code of some modules, and of this one."""
    files = [Path(source) for source in (__file__, *sources)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
