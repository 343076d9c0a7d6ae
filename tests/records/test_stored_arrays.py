"""Arrays from a file that somebody else may have written."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from pytest_perfgate.records.stored_arrays import stored_arrays

_SIZES = 20  # place of both sizes in an entry of the directory (APPNOTE.TXT 4.3.12)


def file_with(claimed: int | None = None) -> io.BytesIO:
    """A file with one array of 64 bytes, whose directory claims so many for its part."""
    out = io.BytesIO()
    np.savez(out, values=np.arange(8.0))
    data = bytearray(out.getvalue())
    if claimed is not None:
        place = data.index(b"PK\x01\x02") + _SIZES
        data[place : place + 8] = struct.pack("<II", claimed, claimed)
    return io.BytesIO(bytes(data))


def test_what_was_stored_is_read() -> None:
    """By name."""
    np.testing.assert_array_equal(stored_arrays(file_with())["values"], np.arange(8.0))


def test_a_part_that_claims_more_than_the_file_has_is_refused() -> None:
    """The directory is of whoever wrote the file: no array of that size is asked for."""
    with pytest.raises(ValueError, match="larger than the file"):
        stored_arrays(file_with(claimed=1 << 20))
