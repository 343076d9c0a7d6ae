"""The scenes of the oriented suite: the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.tasks.polygons import rotated

from suites.oriented import data


def _turned(seed: int) -> list[data.TurnedScene]:
    composer = data.TurnedComposer(data.SPLITS["validation"], seed)
    return [composer.turned() for _ in range(3)]


def test_scenes_repeat_themselves() -> None:
    """Another seed makes others."""
    one, again, other = _turned(43), _turned(43), _turned(44)
    for left, right in zip(one, again, strict=True):
        assert np.array_equal(left.image, right.image)
        assert np.array_equal(left.boxes, right.boxes)
    assert not np.array_equal(one[0].image, other[0].image)


def test_a_box_is_turned_with_its_ink() -> None:
    """A bar of known size keeps its ends: they lie at the ends of the turned box, from x to y."""
    upright = np.zeros((10, 60), np.float32)
    upright[:, 45:] = 1.0
    turned = data._turn(upright, 0.6)
    rows, columns = np.nonzero(turned > 0.5)
    height, width = turned.shape
    box = np.array([[width / 2, height / 2, 60, 10, 0.6]])
    corners = rotated(box)[0]
    right_end = (corners[1] + corners[2]) / 2
    left_end = (corners[0] + corners[3]) / 2
    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    along = (right_end - left_end) / 60
    assert middle == pytest.approx(left_end + 52.5 * along, abs=1.0)


def test_a_split_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again afterwards; some digits are difficult."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    first = data.calibration()
    assert len(first.images) == 96
    assert first.digest == data.calibration().digest
    assert len(list((tmp_path / "data").iterdir())) == 1
    hard = np.concatenate(first.ignored)
    assert 0.05 < hard.mean() < 0.5
