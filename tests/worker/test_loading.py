"""Arrays that one worker writes for others take no more memory than their file has bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from pytest_perfgate.errors import BuildError
from pytest_perfgate.worker import peaks
from pytest_perfgate.worker.loading import read_arrays, read_images


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    """By name; images in their order."""
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x"]), "c": np.zeros((0, 4))}
    np.savez(tmp_path / "p.npz", **arrays)
    result = read_arrays(tmp_path / "p.npz")
    assert result.keys() == arrays.keys()
    assert all(np.array_equal(result[name], arrays[name]) for name in arrays)
    np.savez(tmp_path / "i.npz", *arrays.values())
    assert [image.shape for image in read_images(tmp_path / "i.npz")] == [(2, 3), (1,), (0, 4)]


def test_arms_get_images_that_were_read_before_they_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: what an arm reads for itself counts as its memory, as often as there are arms."""
    np.savez(tmp_path / "i.npz", np.zeros((2, 3)))
    given: list[object] = []
    monkeypatch.setattr(peaks, "fork_arm", lambda _spec, images, _logs, _live: given.append(images))
    images = peaks.Images()
    spec = Mock(work=Mock(images=tmp_path / "i.npz"))
    for _ in range(2):
        peaks.started(spec, Mock(separate=False), images, [])
    one, other = given
    assert one is other is images[tmp_path / "i.npz"]


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    """Some kB of it could be GB in memory."""
    np.savez_compressed(tmp_path / "p.npz", a=np.zeros(1_000_000))
    with pytest.raises(BuildError, match=r"a\.npy is larger than its part of the file"):
        read_arrays(tmp_path / "p.npz")


def test_an_array_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    """Before memory is asked for."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (10**9,)}
    )
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue() + b"x")
        archive.writestr("b.npy", b"no array")
    with pytest.raises(BuildError, match=r"a\.npy is"):
        read_arrays(tmp_path / "p.npz")
