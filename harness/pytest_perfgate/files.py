"""Files and their digests: written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def put(file: Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    handle, part = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(part).chmod(0o644)
        Path(part).replace(file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def short_path(path: Path, root: Path) -> str:
    """`path` below `root`, with forward slashes; the whole path where it is elsewhere."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def digest_of(data: Mapping[str, Any] | list[Any] | str) -> str:
    """SHA-256 over the canonical JSON of plain data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_files(folder: Path, names: list[str]) -> tuple[str, dict[str, int]]:
    """One digest over the bytes of some files of a folder, and the size of each."""
    total = hashlib.sha256()
    sizes = {}
    for name in sorted(names):
        content = (folder / name).read_bytes()
        total.update(name.encode() + b"\0" + content)
        sizes[name] = len(content)
    return total.hexdigest(), sizes
