"""Arrays from a file that somebody else may have written."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from pytest_perfgate.records.stored_arrays import stored_arrays

_SIZES = 20  # place of both sizes in an entry of the directory (APPNOTE.TXT 4.3.12)
_NEEDED, _FLAGS = 6, 8  # of the version that is needed to read it, and of its flags


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


@pytest.mark.parametrize(
    ("place", "value"), [(_NEEDED, 255), (_FLAGS, 1), (_FLAGS, 0x20), (_FLAGS, 0x40)]
)
def test_a_file_of_a_kind_that_python_does_not_read_is_refused(place: int, value: int) -> None:
    """Of a later version of the format, with a password, as a patch, encrypted: `zipfile` has other
    errors for these than for damage.
    """
    data = bytearray(file_with().getvalue())
    data[data.index(b"PK\x01\x02") + place] = value
    with pytest.raises(ValueError, match="no arrays of numpy"):
        stored_arrays(io.BytesIO(bytes(data)))
