"""The scenes of the segmenter: the same pixels and masks every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from suites.segments import data


def _digest(seed: int) -> str:
    """Of three scenes, their images and masks."""
    composer = data.MaskComposer(data.SPLITS["validation"], seed)
    total = hashlib.sha256()
    for _ in range(3):
        scene = composer.masked()
        total.update(scene.image.tobytes() + scene.mask.tobytes())
    return total.hexdigest()


def test_scenes_repeat_themselves() -> None:
    """Another seed makes others."""
    assert _digest(23) == _digest(23)
    assert _digest(24) != _digest(23)


def test_a_mask_has_the_ink_of_its_digits() -> None:
    """Every id is used; the soft edge of ink is ignored, save where digits are small."""
    composer = data.MaskComposer(data.SPLITS["validation"], 5)
    scenes = [composer.masked() for _ in range(40)]
    ids = np.unique(np.stack([scene.mask for scene in scenes]))
    assert ids.tolist() == [*range(11), data.IGNORED]
    touching = 0
    for scene in scenes:
        ink = (scene.mask > 0) & (scene.mask != data.IGNORED)
        touching += int((ink[:, 1:] & (scene.mask[:, :-1] == 0)).sum())
        assert scene.image.shape == (data.SIDE, data.SIDE, 3)
        assert 0.0 < ink.mean() < 0.4
    assert touching < 0.05 * sum(int((scene.mask > 0).sum()) for scene in scenes)


def test_a_split_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and masks fit together, and are read again afterwards."""
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    first = data.calibration()
    assert len(first.images) == len(first.masks) == 96
    assert first.digest == data.calibration().digest
    assert len(list((tmp_path / "data").iterdir())) == 1
