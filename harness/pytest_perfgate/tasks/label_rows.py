"""CSV files of labels: a first row with names, then a row for each image."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pytest_perfgate.errors import DataError


def csv_rows(file: Path) -> list[list[str]]:
    """The rows of a CSV file in UTF-8, each with its cells, stripped; empty rows are left as they
    are, so that numbers of rows are those of the file.

    Raises:
        DataError: it cannot be read, or is no CSV.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = [*csv.reader(io.StringIO(text, newline=""), strict=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"the labels cannot be read: {reason}", where=str(file)) from error
    return [[cell.strip() for cell in row] for row in rows]
