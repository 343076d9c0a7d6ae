"""What an environment rests on besides the text of its requirements: files that they name.

The lines are read as pip reads them (pip's documentation, "Requirements File Format"): included
files are relative to the file that includes them, paths of packages to the folder that pip runs in.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from pytest_perfgate.errors import PerfgateError

_INCLUDED = re.compile(r"(?:-[rc]|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(.+)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(.+)")
_VERSIONED = re.compile(r"(?:git|hg|svn|bzr)\+")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:#.*)?$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_UNBUILT = {".git", ".hg", ".svn", ".tox", ".venv", "venv", "__pycache__", "build", "dist"}
"""Folders of a package's sources that its builds and tools write, and no build reads."""


def contents(lines: list[str], beside: Path, folder: Path, where: str) -> list[str]:
    """The text of files that requirements include, and the digests of packages that they take from
    files: what changes though no line of theirs does.

    Args:
        lines: of a requirements file, or requirements.
        beside: the folder of that file.
        folder: that the paths of packages are relative to.
        where: names the option in errors.

    Raises:
        PerfgateError: the same lines may mean other packages tomorrow, or a file cannot be read.
    """
    return list(_contents(lines, beside, folder, where, ()))


def _contents(
    lines: list[str], beside: Path, folder: Path, where: str, above: tuple[Path, ...]
) -> Iterator[str]:
    for line in _joined(lines):
        included, editable = _INCLUDED.fullmatch(line), _EDITABLE.fullmatch(line)
        if included is not None:
            yield from _included(included.group(1).strip(), beside, folder, where, above)
        elif editable is not None or not line.startswith("-"):
            yield from _package(editable.group(1) if editable else line, folder, where)


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines without comments, continued ones as one."""
    text = re.sub(r"\\\n", "", "\n".join(lines))
    for line in text.splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare:
            yield _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), bare)


def _included(
    name: str, beside: Path, folder: Path, where: str, above: tuple[Path, ...]
) -> Iterator[str]:
    if "://" in name:
        raise PerfgateError(
            f"it includes {name}, which may say something else tomorrow",
            where=where,
            valid="requirements files that lie here",
            next_step="download it, and include the file",
        )
    file = (beside / name).resolve()
    if file in above:  # pip refuses it
        return
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PerfgateError(
            f"it includes {name}, which cannot be read: {error.strerror}", where=where
        ) from error
    yield text
    yield from _contents(text.splitlines(), file.parent, folder, where, (*above, file))


def _package(line: str, folder: Path, where: str) -> Iterator[str]:
    """The digest of a package that is taken from a file or a folder."""
    reference = re.split(r"\s+--", line, maxsplit=1)[0]  # options of this requirement
    try:
        url = Requirement(reference).url
    except InvalidRequirement:
        url = reference.partition(" ;")[0].strip()
    if not url:
        return
    if _VERSIONED.match(url):
        if not _COMMIT.search(url):
            raise PerfgateError(
                f"{url} names no commit: it may be other code tomorrow",
                where=where,
                valid="a URL that ends with @ and the 40 hexadecimal digits of a commit",
                next_step="git ls-remote URL BRANCH prints them",
            )
        return
    parts = urlsplit(url)
    if parts.scheme not in ("", "file"):
        return  # the name of a distribution has its version
    path = folder / (unquote(parts.path) if parts.scheme else re.sub(r"\[[^]]*\]$", "", url))
    if path.exists():  # else pip says so
        yield _digest(path)


def _digest(path: Path) -> str:
    """SHA-256 over the names and bytes of a package's sources, or of one file."""
    total = hashlib.sha256()
    files = [path]
    if path.is_dir():
        files = []
        for here, folders, names in os.walk(path):
            folders[:] = [
                name for name in folders if name not in _UNBUILT and not name.endswith(".egg-info")
            ]
            files += [Path(here, name) for name in names]
    for file in sorted(files):
        if file.is_file():
            total.update(f"{file.relative_to(path)}\0".encode(errors="surrogateescape"))
            with file.open("rb") as source:
                total.update(hashlib.file_digest(source, "sha256").digest())
    return total.hexdigest()
