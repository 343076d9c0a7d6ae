"""Rows of a monitor's log: their columns, and how they become a Parquet file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate.files import replacing
from pytest_perfgate.history.engine import quoted, struct
from pytest_perfgate.stats.image_statistics import NAMES

if TYPE_CHECKING:
    import duckdb

MARK = "perfgate_live"
"""The key in a file's metadata that tells it from foreign ones."""
VERSION = 1
"""Of the files: one more where a column changes its meaning. New columns need no new version."""

COLUMNS: dict[str, str] = {
    "time": "TIMESTAMP",  # UTC, of the request's end
    "suite": "VARCHAR",
    "recipe": "VARCHAR",
    "artifact": "VARCHAR",
    "monitor": "VARCHAR",
    "image": "VARCHAR",
    # All requests since the row before, this one included: rows are a sample, these are not.
    "requests": "BIGINT",
    "errors": "BIGINT",
    "latency": "DOUBLE",  # seconds; null: the row only counts
    "error": "VARCHAR",
    # Null: they were not read. Empty: the image has no class.
    "classes": "VARCHAR[]",
    "scores": "DOUBLE[]",
    **dict.fromkeys(NAMES, "DOUBLE"),
}


def write(engine: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Writes rows into a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
        duckdb.Error: DuckDB cannot write it.
    """
    with tempfile.TemporaryDirectory() as scratch, replacing(file) as part:
        lines = Path(scratch, "rows.json")
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        read = f"read_json(?, format = 'newline_delimited', columns = {struct(COLUMNS)})"
        engine.execute(
            f"COPY (SELECT {names} FROM {read}) TO {quoted(str(part))} (FORMAT parquet, "  # noqa: S608 - columns and quoted paths
            f"COMPRESSION zstd, KV_METADATA {{{MARK}: '{VERSION}'}})",
            [str(lines)],
        )
