"""DuckDB, which writes and reads Parquet: how it is opened, and how its queries name files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_perfgate.errors import MissingPackage

if TYPE_CHECKING:
    import duckdb

_PATTERN = re.compile(r"[*?\[]")


def connect(what: str, extra: str, *, threads: int = 0) -> duckdb.DuckDBPyConnection:
    """An engine in memory that loads no extension and reads nothing by itself, for `what`; the
    extra of this package that has it is `extra`. `threads`: how many it starts; 0: one per core.

    Raises:
        MissingPackage: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackage(
            f"{what} needs duckdb",
            next_step=f"python -m pip install 'pytest-perfgate[{extra}]'",
        ) from error
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    if threads:
        config["threads"] = threads
    return duckdb.connect(config=config)


def struct(columns: Mapping[str, str]) -> str:
    """Names and types of columns, as `read_json` takes them."""
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"


def patterns(files: Iterable[Path]) -> list[str]:
    """Names that DuckDB reads: it takes every name for a pattern."""
    return [_PATTERN.sub(r"[\g<0>]", str(file)) for file in files]


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
