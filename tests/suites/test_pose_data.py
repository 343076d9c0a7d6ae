"""The pictures of the pose suite: the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from suites.pose import data


def _posed(seed: int) -> list[data.Posed]:
    composer = data.PoseComposer(data.SPLITS["validation"], seed)
    return [composer.posed() for _ in range(3)]


def test_pictures_repeat_themselves() -> None:
    """Another seed makes others."""
    one, again, other = _posed(33), _posed(33), _posed(34)
    for left, right in zip(one, again, strict=True):
        assert np.array_equal(left.image, right.image)
        assert np.array_equal(left.points, right.points)
    assert not np.array_equal(one[0].image, other[0].image)


def test_keypoints_are_at_the_sides_and_at_the_ends_of_the_stroke() -> None:
    """Of a hook, whose ends are known; of a ring, which has none, they are not labelled."""
    hook = np.zeros((40, 30), bool)
    hook[:, 13:17] = True
    hook[36:, :] = True
    points = data.keypoints(hook)
    assert points[0, :2] == pytest.approx([15, 2], abs=1)
    assert points[2, 1] == pytest.approx(38, abs=1)
    ring = np.ones((40, 30), bool)
    ring[8:32, 8:22] = False
    assert data.keypoints(ring)[4:].tolist() == [[0, 0, 0]] * 2
    line = np.ones((40, 4), bool)
    ends = data.keypoints(line)[4:]
    assert ends[0, 1] < 6
    assert ends[1, 1] > 34
    assert (ends[:, 2] == 2).all()


def test_a_split_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again afterwards."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    first = data.calibration()
    assert len(first.images) == 96
    assert first.keypoints.names == data.KEYPOINTS
    assert first.digest == data.calibration().digest
    assert len(list((tmp_path / "data").iterdir())) == 1
