"""The first thing that runs on a device: takes copies of files, becomes `pytest_perfgate.device`.

It is sent as text, and read by whatever Python is there, so that an old one is refused in words:
the standard library alone, in the syntax of Python 3.7. Standard input and output carry frames:
eight bytes of length, then so many bytes. A file is frames of its parts, then an empty frame.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

OLDEST = (3, 11)
KEPT = 30 * 86_400.0
"""Seconds that copies and caches of a project stay after the last session: a container of CI has a
name of its own each time, and would leave a copy of the project each time.
"""
WORDS_EVERY = 10.0
"""Seconds between two frames while files are looked at: the session gives up on a silent host."""
PATIENCE = 600.0
"""Seconds without a byte after which the session is gone: a host that lost its network hears no
end, and would hold the lock of the project for ever.
"""


def receive() -> bytes:
    """The next frame."""
    return _exactly(int.from_bytes(_exactly(8), "big"))


def _exactly(size: int) -> bytes:
    parts = []
    while size:
        if not select.select([0], [], [], PATIENCE)[0]:
            raise SystemExit(4)
        part = os.read(0, min(size, 1 << 20))
        if not part:
            raise SystemExit(3)  # the session has ended
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def send(message: dict[str, Any]) -> None:
    """Sends a message as a frame."""
    data = json.dumps(message).encode()
    data = len(data).to_bytes(8, "big") + data
    while data:
        data = data[os.write(1, data) :]


def refuse(reason: str, step: str = "") -> NoReturn:
    """Says why this host cannot measure and what to do, "" for another interpreter, and ends."""
    send({"refused": reason, "step": step})
    raise SystemExit(0)


def check(needs: list[str], version: tuple[int, ...] = sys.version_info[:3]) -> str:
    """Why this Python cannot measure, "" where it can; `needs` are names of distributions."""
    if version < OLDEST:
        words = [".".join(map(str, one)) for one in (version, OLDEST)]
        return f"{sys.executable} is Python {words[0]}, and {words[1]} or newer is needed"
    from importlib.metadata import PackageNotFoundError, distribution

    lacking = []
    for name in needs:
        try:
            distribution(name)
        except PackageNotFoundError:
            lacking.append(name)
    if lacking:
        return f"packages are missing: {sys.executable} -m pip install {' '.join(lacking)}"
    return ""


def every(seconds: float) -> Callable[[str], None]:
    """What sends words of progress, so many seconds after the last ones at the earliest."""
    told = time.monotonic()

    def tell(text: str) -> None:
        nonlocal told
        if time.monotonic() - told >= seconds:
            send({"looking": text})
            told = time.monotonic()

    return tell


def digest(path: Path, tell: Callable[[str], None] = lambda _: None) -> str:
    """The digest of a file; "" where there is none, or something else."""
    if path.is_symlink() or not path.is_file():
        return ""
    total = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            total.update(part)
            tell(path.name)
    return total.hexdigest()


def parts_of(path: Path, tell: Callable[[str], None]) -> Iterable[bytes]:
    """The contents of a file, a part at a time."""
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            yield part
            tell(f"{path.name}, which is there under another name")


def clean(folder: Path, keep: dict[str, str], folders: list[str]) -> None:
    """Makes a tree one of the folders `folders`, empty ones too, and of no file that is not in
    `keep`, but for compiled modules: a folder that is left over is a class of images, or a package.
    """
    # Children come before their folders.
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        compiled = path.parent.name == "__pycache__" and path.suffix == ".pyc"
        if path.is_symlink() or not path.is_dir():
            if name not in keep and not compiled:
                path.unlink()
        elif name not in folders and (
            path.name != "__pycache__" or path.parent.relative_to(folder).as_posix() not in folders
        ):
            shutil.rmtree(path)
    for name in folders:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def write(path: Path, parts: Iterable[bytes], expected: str) -> bool:
    """Writes a file whole, or not at all: False where its digest is not the expected one. It is
    never in memory whole.

    What was compiled from it goes: Python compares seconds and sizes, and a clock that starts at
    the same time after each boot shows the same second again.
    """
    if path.parent.is_file():
        path.parent.unlink()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    if path.suffix == ".py" and (path.parent / "__pycache__").is_dir():
        for compiled in list((path.parent / "__pycache__").iterdir()):
            if compiled.name.startswith(path.stem + "."):
                compiled.unlink()
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    total = hashlib.sha256()
    try:
        with part.open("wb") as file:
            for data in parts:
                total.update(data)
                file.write(data)
        if total.hexdigest() != expected:
            return False
        part.replace(path)
    finally:
        # A full disk, or the end of the session: what has come so far would fill it for nothing.
        if part.exists():
            part.unlink()
    return True


def differing(trees: dict[str, Path], hello: dict[str, Any]) -> list[list[str]]:
    """Tree and name of the files that are not there as the session has them; frames meanwhile. A
    tree that this session has no files of is emptied.
    """
    missing, tell = [], every(WORDS_EVERY)
    for name, folder in trees.items():
        clean(folder, hello[name], hello["folders"][name])
        for count, (path, expected) in enumerate(sorted(hello[name].items())):
            tell(f"{count} of {len(hello[name])}")
            if digest(folder / path, tell) != expected:
                missing.append([name, path])
    return missing


def hold(place: Path) -> int:
    """The lock of a place, held until this process and the one that it becomes have ended; -1 where
    a session has it.
    """
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return -1
    os.set_inheritable(lock, True)
    os.utime(lock)
    return lock


def forget(base: Path) -> None:
    """Removes what no session has used for long: copies of projects with what was built of them,
    and earlier versions of the package.
    """
    oldest = time.time() - KEPT
    for lock in base.glob("*/lock"):
        if lock.stat().st_mtime < oldest:
            place = hold(lock.parent)
            if place >= 0:
                shutil.rmtree(lock.parent, ignore_errors=True)
                os.close(place)
    for package in base.glob("packages/*"):
        if package.stat().st_mtime < oldest:
            shutil.rmtree(package, ignore_errors=True)


def take(hello: dict[str, Any]) -> tuple[Path, Path]:
    """Takes the files that are not there yet; the folders of the place and of the package."""
    base = Path.home() / hello["cache"]
    place, package = base / hello["place"], base / "packages" / hello["version"]
    # What the project and its base have in common is taken once: the project's files come first.
    trees = {"package": package, "project": place / "tree", "base": place / "base"}
    trees["artifacts"] = place / "artifacts"
    for folder in trees.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Held until the measurement has ended: another session would change the files meanwhile.
    if hold(place) < 0:
        refuse(
            "another session measures this project there",
            "wait until it has ended, then run the session again",
        )
    os.utime(package)
    forget(base)
    differ = differing(trees, hello)
    same = {expected: path for path, expected in hello["project"].items()}
    # Of a model that is a file the artifact is the same file.
    shared = [
        [name, path]
        for name, path in differ
        if name in {"base", "artifacts"} and hello[name][path] in same
    ]
    missing = [one for one in differ if one not in shared]
    send({"missing": missing})
    for name, path in missing:
        if not write(trees[name] / path, iter(receive, b""), hello[name][path]):
            refuse(f"{path} changed while it was copied", "run the session again")
    tell = every(WORDS_EVERY)
    for name, path in shared:
        tell(path)
        source, expected = trees["project"] / same[hello[name][path]], hello[name][path]
        if not write(trees[name] / path, parts_of(source, tell), expected):
            refuse(f"{source} changed there", "run the session again")
    for name, folder in trees.items():
        for path in hello["programs"][name]:
            (folder / path).chmod(0o700)
    return place, package


def main() -> None:
    """Takes the files, then gives its place to the program that measures."""
    os.umask(0o077)
    # Before anything else: what is lost from here on is a link, and no host that is off.
    send({"clock": time.time()})
    hello = json.loads(receive().decode())
    reason = check(hello["needs"])
    if reason:
        refuse(reason)
    if "cache" not in hello:  # the session asks before it builds for hours
        send({"fit": True})
        return
    try:
        place, package = take(hello)
    except OSError as error:
        refuse(
            f"{error.filename or hello['cache']}: {error.strerror}",
            "make room there, or name another folder of that host as its cache",
        )
    folders = {"root": place / "tree", "cache": place / "cache", "base": place / "base"}
    folders["artifacts"] = place / "artifacts"
    send({"package": str(package), **{name: str(path) for name, path in folders.items()}})
    os.chdir(place / "tree")
    environment = dict(os.environ, PYTHONPATH=str(package))
    command = [sys.executable, "-P", "-m", "pytest_perfgate.device"]
    os.execve(sys.executable, command, environment)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
