"""Images whose classes, labels or clips a recipe gives lower scores than its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.classification.data import Called, ClassificationData
from pytest_perfgate.tasks.clip_classification import ClipClassification
from pytest_perfgate.tasks.clip_classification.data import ClipData, ClipScores
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.multilabel import Multilabel
from pytest_perfgate.tasks.multilabel.data import MultilabelData

NAMES = ("cat", "dog", "owl")


def pictures(count: int) -> Any:
    """So many pictures, eight pixels wide and four high."""
    return [np.full((4, 8, 3), index, np.uint8) for index in range(count)]


def called(*rows: tuple[float, ...]) -> list[Called]:
    """Scores of each image."""
    return [Called(np.array(row, np.float32)) for row in rows]


def test_the_image_whose_class_is_lost_comes_before_one_with_a_lower_score() -> None:
    """What the reference gets wrong cannot be lost, and little is no loss."""
    task, data = Classification(), ClassificationData(pictures(4), [0, 1, 2, 0], NAMES)
    other = task.pack(called((0.9, 0.1, 0), (0.1, 0.8, 0.1), (0.6, 0, 0.4), (1, 0, 0)))
    ours = task.pack(called((0.6, 0.4, 0), (0.5, 0.4, 0.1), (0.9, 0, 0.1), (0.95, 0.05, 0)))
    lost, lower = task.worse(data, ours, other, 4) or []
    assert (lost.image, lost.loss) == (1, pytest.approx(0.8))
    (cat,) = lost.recipe
    assert (cat.category, cat.score, cat.object, cat.box) == ("cat", 0.5, None, (0, 0, 8, 4))
    assert [(box.category, box.object) for box in lost.reference] == [("dog", 0)]
    assert (lower.image, lower.loss) == (0, pytest.approx(0.3))
    assert task.objects(data, 1)[1][0].category == "dog"
    assert task.worse(data, ours, other, 1) == [lost]
    assert task.worse(data, other, other, 4) == []


def test_an_image_is_called_by_its_file(tmp_path: Path) -> None:
    """Data of a folder has names, data of a function has none."""
    Image.fromarray(pictures(1)[0]).save(tmp_path / "owl.png")
    data = ClassificationData(ImageFiles([tmp_path / "owl.png"]), [2], NAMES)
    name, (box,) = Classification().objects(data, 0)
    assert (name, box.category, box.box) == ("owl.png", "owl", (0, 0, 8, 4))


def test_labels_of_an_image_are_lost_one_by_one() -> None:
    """Below 0.5 a label is not shown by an application; one that is not true is no object."""
    task, data = Multilabel(), MultilabelData(pictures(2), [[1, 0, 1], [0, 1, 0]], NAMES)
    other = task.pack(called((0.9, 0.2, 0.8), (0.1, 0.9, 0.1)))
    ours = task.pack(called((0.4, 0.7, 0.6), (0.1, 0.9, 0.1)))
    (worse,) = task.worse(data, ours, other, 4) or []
    assert (worse.image, worse.loss) == (0, pytest.approx(0.9 + 0.2))
    assert [(box.category, box.object) for box in worse.recipe] == [("dog", None), ("owl", 1)]
    assert [box.category for box in task.objects(data, 0)[1]] == ["cat", "owl"]


def test_a_clip_is_shown_by_its_last_frame() -> None:
    """Its score is the one that counts."""
    task, data = ClipClassification(), ClipData(pictures(5), (2, 3), (0, 1), NAMES)
    frames = (0, 1, 0, 1, 2)

    def packed(*rows: tuple[float, ...]) -> dict[str, Any]:
        return task.pack(
            [
                ClipScores(np.array(row, np.float32), at)
                for row, at in zip(rows, frames, strict=True)
            ]
        )

    sure = packed(*[(1, 0, 0)] * 2, *[(0, 1, 0)] * 3)
    late = packed((0, 1, 0), (1, 0, 0), *[(0, 1, 0)] * 2, (0, 0.2, 0.8))
    (worse,) = task.worse(data, late, sure, 4) or []
    assert (worse.image, worse.loss) == (4, 1.0)
    assert task.objects(data, 4)[1][0].category == "dog"


def test_without_labels_nothing_is_said() -> None:
    """A page that says of such images that none got worse would say what nobody knows."""
    rows = called((1, 0, 0))
    for task, data in (
        (Classification(), ClassificationData(pictures(1), (), ())),
        (Multilabel(), MultilabelData(pictures(1), (), ())),
    ):
        packed = task.pack(rows)
        assert task.worse(data, packed, packed, 4) is None
    nothing = Prediction(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    coco = {
        "images": [{"id": 1, "width": 8, "height": 4}],
        "annotations": [],
        "categories": [{"id": 1, "name": "owl"}],
    }
    detection = DetectionData(pictures(1), coco, annotated=False)
    packed = Detection().pack([nothing])
    assert Detection().worse(detection, packed, packed, 4) is None
