"""Who may write to the cache: it holds compiled code that runs when it is loaded."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from pytest_perfgate.errors import PerfgateError

FOLDERS = (
    "artifacts",
    "locks",
    "caches",
    "training",
    "runtime",
    "logs",
    "base",
    "searches",
    "fetched",
)
"""Folders of a cache."""


def refuse_others(root: Path) -> str:
    """Checks that not everybody can write to the cache; returns a note where a group or another
    user can, "" where nobody else can. A cache that is not there yet is fine.

    Raises:
        PerfgateError: every user of this machine can write to it.
    """
    notes: dict[str, Path] = {}
    for folder in (root, *(root / name for name in FOLDERS)):
        try:
            about = folder.stat()
        except OSError:
            continue
        if about.st_mode & stat.S_IWOTH:
            raise PerfgateError(
                "every user of this machine can write to the cache, and so run code as this user",
                where=str(folder),
                valid="a folder that only this user can write to",
                next_step=f"rm -r {root} and measure again, or chmod -R o-w {root} where nobody "
                "else has written to it",
            )
        for writer in _writers(about):
            notes.setdefault(writer, folder)
    return "; ".join(
        f"{writer} can write to the cache {folder}, and so run code as this user"
        for writer, folder in notes.items()
    )


def _writers(about: os.stat_result) -> list[str]:
    """Others who may write to a folder, in words."""
    writers = []
    if about.st_uid not in {os.geteuid(), 0}:
        writers.append(f"user {_user(about.st_uid)}")
    # Many systems give each user a group of the same name, which has no other member.
    if about.st_mode & stat.S_IWGRP and _group(about.st_gid) != _user(os.geteuid()):
        writers.append(f"group {_group(about.st_gid)}")
    return writers


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # containers run as users that have no entry
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
