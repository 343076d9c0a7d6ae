"""Data that suites keep: made on first use, again after a change of code, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.made_once import made_once


def test_values_are_made_again_when_their_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "data.py"
    calls: list[int] = []

    def make() -> dict[str, Any]:
        calls.append(1)
        return {"images": np.arange(6).reshape(2, 3), "objects": [{"boxes": [1.5]}]}

    source.write_text("first")
    for _ in range(2):
        values = made_once("some", make, str(source))
        assert isinstance(values["images"], np.memmap)
        assert values["images"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert values["objects"] == [{"boxes": [1.5]}]
    assert len(calls) == 1
    source.write_text("second")
    made_once("some", make, str(source))
    assert len(calls) == 2


def test_nothing_is_left_of_values_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a part of them, nor a folder that looks whole."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    for values in ({"images": np.ones(2), "objects": {1, 2}}, {"images": np.array([object()])}):
        with pytest.raises((TypeError, ValueError)):
            made_once("some", lambda values=values: values, __file__)
    assert list((tmp_path / "data").iterdir()) == []
