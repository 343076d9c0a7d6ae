"""The first thing that runs on a device: takes copies of files, becomes `pytest_perfgate.device`.

It is sent as text, and read by whatever Python is there, so that an old one is refused in words:
the standard library alone, in the syntax of Python 3.7. Standard input and output carry frames:
eight bytes of length, then so many bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

OLDEST = (3, 11)


def receive() -> bytes:
    """The next frame."""
    return _exactly(int.from_bytes(_exactly(8), "big"))


def _exactly(size: int) -> bytes:
    parts = []
    while size:
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


def refuse(reason: str) -> NoReturn:
    """Says why this host cannot measure, and ends."""
    send({"refused": reason})
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


def digest(path: Path) -> str:
    """The digest of a file; "" where there is none, or something else."""
    if path.is_symlink() or not path.is_file():
        return ""
    total = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            total.update(part)
    return total.hexdigest()


def clean(folder: Path, keep: dict[str, str]) -> None:
    """Removes from a tree what is not in `keep`, but for compiled modules."""
    for path in list(folder.rglob("*")):
        old = path.is_symlink() or not path.is_dir()
        if old and path.parent.name != "__pycache__" and str(path.relative_to(folder)) not in keep:
            path.unlink()


def write(path: Path, data: bytes) -> None:
    """Writes a file whole, or not at all."""
    if path.parent.is_file():
        path.parent.unlink()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)


def take(hello: dict[str, Any]) -> tuple[Path, Path]:
    """Takes the files that are not there yet; the folders of the place and of the package."""
    base = Path.home() / hello["cache"]
    place, package = base / hello["place"], base / "packages" / hello["version"]
    trees = {"package": package, "project": place / "tree"}
    for folder in trees.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Held until the measurement has ended: another session would change the files meanwhile.
    lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        refuse("another session measures this project there")
    os.set_inheritable(lock, True)
    missing = []
    for name, folder in sorted(trees.items()):
        clean(folder, hello[name])
        for path, expected in sorted(hello[name].items()):
            if digest(folder / path) != expected:
                missing.append([name, path])
    send({"missing": missing})
    for name, path in missing:
        data = receive()
        if hashlib.sha256(data).hexdigest() != hello[name][path]:
            refuse(f"{path} changed while it was copied")
        write(trees[name] / path, data)
    return place, package


def main() -> None:
    """Takes the files, then gives its place to the program that measures."""
    os.umask(0o077)
    hello = json.loads(receive().decode())
    reason = check(hello["needs"])
    if reason:
        refuse(reason)
    place, package = take(hello)
    send({"root": str(place / "tree"), "place": str(place)})
    os.chdir(place / "tree")
    environment = dict(os.environ, PYTHONPATH=str(package))
    command = [sys.executable, "-P", "-m", "pytest_perfgate.device"]
    os.execve(sys.executable, command, environment)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
