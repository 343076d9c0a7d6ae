"""`recipes.lock`, beside `recipes.toml`: URL, size and SHA-256 of everything that is fetched."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.files import put, writing
from pytest_perfgate.records.location import Locked, LockedFile

LOCK_FILE = "recipes.lock"
COMMAND = "pytest-perfgate lock"

_HEAD = f"Written by `{COMMAND}`, which alone changes it."
_LARGEST = 4_000_000
"""Bytes of a lock file: a thousand locations have 300,000."""


def is_inside(path: str) -> bool:
    """Whether a path is that of a file below a folder, and never another."""
    pure = PurePosixPath(path)
    return bool(pure.parts) and not (pure.is_absolute() or ".." in pure.parts or "\\" in path)


def _inside(path: str) -> str:
    if not is_inside(path):
        raise ValueError("the path leaves its folder")
    return path


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _File(_Strict):
    path: Annotated[str, AfterValidator(_inside)]
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Location(_Strict):
    url: str
    version: str = ""
    file: list[_File] = Field(min_length=1)


class _Lock(_Strict):
    version: Literal[1]
    location: list[_Location] = Field(default_factory=list)


def lock_file(suite_file: Path) -> Path:
    """The lock file of a suite file."""
    return suite_file.with_name(LOCK_FILE)


def read(file: Path, where: str) -> dict[str, Locked]:
    """What a lock file says, by URL; nothing where there is none.

    Raises:
        RecipeError: it cannot be read, or is no lock file; `where` names it.
    """
    try:
        if not file.exists():
            return {}
        if file.stat().st_size > _LARGEST:
            raise RecipeError(f"the lock has more than {_LARGEST:,} bytes", where=where)
        lock = _Lock.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"the lock cannot be read: {error.strerror}", where=where) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise _broken(f"{key}: {first['msg']}", where) from error
    except (ValueError, RecursionError) as error:
        raise _broken(str(error), where) from error
    entries = {
        entry.url: Locked(
            entry.url,
            tuple(LockedFile(one.path, one.size, one.sha256) for one in entry.file),
            entry.version,
        )
        for entry in lock.location
    }
    if len(entries) < len(lock.location):
        raise _broken("a URL is in it twice", where)
    return entries


def _broken(problem: str, where: str) -> RecipeError:
    return RecipeError(
        f"it is no lock file: {problem}",
        where=where,
        valid=f"what {COMMAND} writes",
        next_step=f"git checkout the file, or delete it and run {COMMAND}",
    )


def write(file: Path, entries: Iterable[Locked]) -> None:
    """Writes a lock file, whole or not at all; without entries there is none.

    Raises:
        RecipeError: it cannot be written.
    """
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    document["version"] = 1
    table = tomlkit.aot()
    for entry in entries:
        one = tomlkit.table()
        one["url"] = entry.url
        if entry.version:
            one["version"] = entry.version
        files = tomlkit.aot()
        for locked in entry.files:
            files.append(
                tomlkit.item({"path": locked.path, "size": locked.size, "sha256": locked.sha256})
            )
        one["file"] = files
        table.append(one)
    with writing(file, "the lock file", RecipeError):
        if not table:
            file.unlink(missing_ok=True)
            return
        document["location"] = table
        put(file, tomlkit.dumps(document))
