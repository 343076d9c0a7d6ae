"""COCO's scores do not depend on how many categories are evaluated together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_perfgate.tasks.coco import evaluator
from pytest_perfgate.tasks.coco.evaluator import official_of

CATEGORIES, IMAGES = 7, 6


def scene(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[tuple[int, int], Any]]:
    """Instances, results and their overlaps. The first categories have neither of them, two have
    detections alone, and one has objects alone.
    """
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    overlaps = {}
    for image in range(IMAGES):
        for category in range(2, CATEGORIES):
            objects = 0 if category < 4 else int(random.integers(0, 3))
            detections = 0 if category == 6 else int(random.integers(0, 4))
            ids = {"image_id": image + 1, "category_id": category + 1}
            box = {"bbox": [0.0, 0.0, 9.0, 9.0]}
            for _ in range(objects):
                area = float(random.choice([100, 5000, 20000]))
                more = {"id": len(annotations) + 1, "area": area, "iscrowd": 0}
                annotations.append(ids | box | more)
            scores = np.sort(random.random(detections))[::-1]
            results += [ids | box | {"area": 100.0, "score": float(score)} for score in scores]
            overlaps[image, category] = random.random((detections, objects))
    truth = {
        "images": [{"id": row + 1} for row in range(IMAGES)],
        "categories": [{"id": row + 1, "name": f"kind {row}"} for row in range(CATEGORIES)],
        "annotations": annotations,
    }
    return truth, results, overlaps


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("together", [1, 2, 3])
def test_categories_are_averaged_as_if_evaluated_at_once(
    monkeypatch: pytest.MonkeyPatch, seed: int, together: int
) -> None:
    """Every score, those by size and by category too, is the same to the last bit."""
    whole = official_of(*scene(seed))
    assert 0 < whole.stats["AP_all"] < 1
    assert set(whole.per_category) == {"kind 4", "kind 5", "kind 6"}
    monkeypatch.setattr(evaluator, "_TOGETHER", together)
    assert official_of(*scene(seed)) == whole
